"""What came from outside, made safe for trace, log and screen."""

from __future__ import annotations

import re
from collections.abc import Iterable

# C0, DEL, C1, and the characters that reorder or hide text on a screen.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_QUERY_VALUE = re.compile(r"=[^&#]*")
_USERINFO = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/?#@]*@", re.IGNORECASE)

MASK = "***"


def printable(text: str, *, limit: int = 2000) -> str:
    """The text with every control character escaped, cut at `limit` characters."""
    shown = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def url(text: str) -> str:
    """A URL or path without user information and without the values of its query."""
    before, mark, query = _USERINFO.sub(r"\1", text).partition("?")
    return printable(before + mark + _QUERY_VALUE.sub("=" + MASK, query))


def values(text: str, secrets: Iterable[str]) -> str:
    """The text with every known secret masked, also where it was percent-encoded."""
    from urllib.parse import quote  # here, since few starts come to redact anything

    for secret in secrets:
        for form in {secret, quote(secret, safe="")}:
            if form:
                text = text.replace(form, MASK)
    return text
