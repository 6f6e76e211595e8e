"""What came from outside, made safe for trace, log and screen."""

from __future__ import annotations

import re
from collections.abc import Iterable

# C0, DEL, C1, the characters that reorder or hide text on a screen, spaces that are none, and lone
# surrogates, which no terminal or file can be given. Compiled when it is first needed: most starts
# show nothing of the kind.
_CONTROL = (
    r"[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u2800\u3000"
    r"\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    r"\U00016fe4\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_QUERY_VALUE = r"=[^&#]*"
_USERINFO = r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@"
_PERCENT = r"%[0-9A-F]{2}"

MASK = "***"


def printable(text: str, *, limit: int = 2000) -> str:
    """The text with every control character escaped, cut at `limit` characters."""
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    shown = re.sub(_CONTROL, _escape, text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{{{code:x}}}"


def _lower(match: re.Match[str]) -> str:
    return match[0].lower()


def url(text: str) -> str:
    """A URL or path without user information and without the values of query and fragment."""
    address = re.sub(_USERINFO, r"\1", text) if "@" in text else text
    if "?" not in address and "#" not in address:
        return printable(address)
    cut = min((address.find(mark) for mark in "?#" if mark in address), default=len(address))
    return printable(address[:cut] + re.sub(_QUERY_VALUE, "=" + MASK, address[cut:]))


class Values:
    """Known secrets, looked for in many texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        from urllib.parse import quote  # here, since few starts come to redact anything

        forms = set()
        for secret in secrets:
            quoted = quote(secret, safe="", errors="replace")
            forms |= {secret, quoted, re.sub(_PERCENT, _lower, quoted)}
        # The longest first: one secret may be the beginning of another.
        self._forms = sorted(forms - {""}, key=len, reverse=True)

    def mask(self, text: str) -> str:
        """The text with every known secret masked, also where it was percent-encoded."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text


def values(text: str, secrets: Iterable[str]) -> str:
    """A text with these secrets masked, also where they were percent-encoded."""
    return Values(secrets).mask(text)
