"""Members of a JSON object that was read from a file, held to the types they must have.

Each raises TypeError or ValueError for a member that is another, or is missing and may not be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moat.ledger.regular import moment

_LONGEST = 1e10  # seconds that anything may take


def as_object(value: Any) -> dict[str, Any]:
    """A value that must be an object."""
    if not isinstance(value, dict):
        raise TypeError("it is no object")
    return value


def text(document: Mapping[str, Any], name: str) -> str:
    """A text."""
    value = document.get(name)
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def text_or_none(document: Mapping[str, Any], name: str) -> str | None:
    """A text, or nothing."""
    return None if document.get(name) is None else text(document, name)


def texts(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts."""
    value = document.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name} is no list of texts")
    return tuple(value)


def texts_by_name(document: Mapping[str, Any], name: str) -> dict[str, str]:
    """An object of texts."""
    value = as_object(document.get(name))
    return {key: text(value, key) for key in value}


def time_or_none(document: Mapping[str, Any], name: str) -> float | None:
    """Seconds since the epoch, or nothing."""
    return None if document.get(name) is None else moment(document[name])


def seconds_or_none(document: Mapping[str, Any], name: str) -> float | None:
    """A number of seconds, or nothing."""
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LONGEST:
        raise ValueError(f"{name} is no number of seconds")
    return float(value)


def code_or_none(document: Mapping[str, Any], name: str) -> int | None:
    """An exit code, or nothing."""
    value = document.get(name)
    if value is not None and (type(value) is not int or not -256 <= value < 256):
        raise ValueError(f"{name} is no exit code")
    return value


def changes(value: Any) -> dict[str, Any]:
    """What a run has changed, as `accounting` writes it down."""
    document = as_object(value)
    for name in ("added", "changed", "removed"):
        texts(document, name)
    if "notes" in document:
        texts(document, "notes")
    executed = document.get("executed")
    if not isinstance(executed, list):
        raise TypeError("executed is no list")
    for item in executed:
        text(as_object(item), "path")
        text(item, "why")
    return document
