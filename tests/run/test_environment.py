"""The environment of a box is made from nothing, and nothing in it leads around the proxy."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from moat.engine.policy import Policy
from moat.errors import UsageError
from moat.run.environment import RESERVED, box_environment

HELD = {"OPENAI_API_KEY": "sk-placeholder"}


def environment(
    project: Mapping[str, str] | None = None, options: Mapping[str, str] | None = None
) -> dict[str, str]:
    return box_environment(
        {"TERM": "xterm", "SECRET": "x"},
        placeholders=[HELD],
        project=project or {},
        options=options or {},
        path=["/bin"],
        policy=Policy(),
    )


def test_what_is_asked_for_is_there() -> None:
    """The project's variables, and over them those that were typed; the terminal's own too."""
    made = environment({"A": "1", "B": "2", "TERM": "vt100"}, {"B": "3"})
    assert {"A": "1", "B": "3", "TERM": "vt100", **HELD}.items() <= made.items()
    assert "SECRET" not in made


@pytest.mark.parametrize("name", sorted({*RESERVED, *HELD}))
def test_what_is_moats_cannot_be_set(name: str) -> None:
    """Neither by the project nor by an option; and it is named."""
    with pytest.raises(UsageError, match=rf"^the variable {name} "):
        environment({name: "x"})
    with pytest.raises(UsageError, match=rf"^the variable {name} "):
        environment({}, {name: "x"})
