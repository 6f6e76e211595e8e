"""How files are named that a run may change although programs of this machine obey them."""

from __future__ import annotations

from moat.config.nodes import quoted
from moat.config.project_file import NAME, OLDER_NAME
from moat.config.schema import ListOf, Record, Text


def guarded_path(text: str) -> str:
    """A path below the workspace, in its plain form. Raises ValueError."""
    parts = text.removesuffix("/").split("/")
    if "\0" in text or not set(parts).isdisjoint({"", ".", ".."}):
        raise ValueError(f"{quoted(text)} is not a path below the workspace, such as .git/config")
    if text in (NAME, OLDER_NAME):
        raise ValueError(f"a run may never change {text}: it says what the next one may do")
    return "/".join(parts)


def _guard(*, allow: tuple[str, ...] = ()) -> tuple[str, ...]:
    return allow


GUARD = Record(_guard, {"allow": ListOf(Text(guarded_path, r"[^/\u0000][^\u0000]*"))})
