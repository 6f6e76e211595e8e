"""How what a project file says is shown to the person who decides about it.

Two texts never look the same, nothing steers the terminal, and nothing is pushed out of sight:
what is not plain is in quotes, with every character escaped that is not seen as itself.
"""

from __future__ import annotations

import re
from typing import Any

from moat.core.redact import printable

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./~*\[\]-]+")
# What may have to be escaped: a space that may not be noticed (after another one, or at an end),
# what is not ASCII, and what the quotes are made of.
_DOUBTFUL = re.compile(r"(?<= ) |\A | \Z|[^\x20-\x7e]|[\"\\]")
_BLANK = "\u2800"  # looks like a space, and is none to Unicode


def shown(text: str) -> str:
    """Return `text` as it is where it is plain, or quoted."""
    return text if _PLAIN.fullmatch(text) else in_quotes(text)


def in_quotes(text: str) -> str:
    """Return `text` in quotes, with whatever is not seen as itself escaped."""
    return '"' + _DOUBTFUL.sub(_escaped, text) + '"'


def value_shown(value: Any) -> str:
    """Return a value of any sort on one line."""
    if isinstance(value, str):
        return in_quotes(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(value_shown, value))}]"
    if isinstance(value, dict):
        pairs = (f"{shown(key)} = {value_shown(below)}" for key, below in value.items())
        return "{" + ", ".join(pairs) + "}"
    return repr(value)


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char == " ":
        return r"\x20"
    if char in '"\\':
        return "\\" + char
    if char.isprintable() and printable(char) == char != _BLANK:
        return char
    return char.encode("unicode_escape").decode()
