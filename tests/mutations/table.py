"""All guards that are switched off, by name: one file of `guards` for each room of the proxy."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.mutations.guard import Guard


def read(directory: Path) -> dict[str, Guard]:
    """The guards of every file in a directory. Raises ValueError where two have one name."""
    found: dict[str, Guard] = {}
    for file in sorted(directory.glob("*.toml")):
        for name, said in tomllib.loads(file.read_text()).items():
            if name in found:
                raise ValueError(f"{file.name}: there is another guard {name}")
            attacks = tuple(f"tests/{attack}" for attack in said.pop("attacks"))
            found[name] = Guard(name, said.pop("in"), said.pop("old"), said.pop("off"), attacks)
            if said or not attacks:
                raise ValueError(f"{file.name}: {name} says too much, or too little")
    return found


GUARDS = read(Path(__file__).parent / "guards")
