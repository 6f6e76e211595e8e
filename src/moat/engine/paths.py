"""The path of a request: one spelling, which is the one that is judged and the one that is sent.

What no honest client sends is refused for every host: a raw control character, backslash or
byte that is not ASCII, an escape that is none, an encoded control character, a `.` or `..`
segment however it is written. These segments are refused and not resolved: clients resolve them
before they ask, and what `/a;/../b` or `/a//../b` leads to, two servers tell differently.

What honest clients do send and servers read in two ways (`//`, `;`, an encoded `/`, text encoded
twice) passes as it is, unless rules about paths have to judge it: `segments` refuses it then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# What most targets are: every character plain, no segment that begins with a dot. One pass, and
# nothing is tried twice.
_PLAIN = re.compile(
    r"(?:/(?:[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9_.~!$&'()*+,;=:@-]*+)?)++(?:\?[!\"$-~]*+)?"
)
_QUERY = re.compile(r"[!\"$-~]*")
_UNFIT = re.compile(r"[^!-~]|[#?\\]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
# RFC 3986 section 2.3: escaped or not, these mean the same.
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Printable, and not to stand in a path (RFC 3986 section 3.3); some clients send them all the same.
_TO_ESCAPE = re.compile(r'["<>\[\]^`{|}]')
_DOTS = re.compile(r"(?:/|%2F|%5C)\.\.?(?=/|;|%2F|%3B|%5C|\Z)")
_TWO_FACED = re.compile(r"//|;|%(?:23|2F|3B|3F|5C|25[0-9A-Fa-f]{2})")
_STRUCTURE = re.compile(r"[/\\?#%;]")


def canonical_target(target: str) -> str:
    """The path and query of a request as they are sent. Raises ValueError naming what is wrong.

    Escaped letters, digits and `-._~` are written plainly, other escapes in capitals, and what
    must not stand in a path is escaped; the query stays as it is.
    """
    if _PLAIN.fullmatch(target) or target == "*":
        return target
    path, mark, query = target.partition("?")
    if not _QUERY.fullmatch(query):
        raise ValueError("the query has a character in it that must be encoded")
    return canonical_path(path) + mark + query


def canonical_path(path: str) -> str:
    """The one spelling of a path, which begins with `/`. Raises ValueError."""
    if not path.startswith("/"):
        raise ValueError("the path does not begin with /")
    unfit = _UNFIT.search(path)
    if unfit:
        what = unfit[0] if unfit[0] in "#?\\" else "character"
        raise ValueError(f"the path has a {what} in it that must be encoded")
    path = _TO_ESCAPE.sub(_escaped, _ESCAPE.sub(_spelled, path))
    if _DOTS.search(path):
        raise ValueError("the path has a . or .. segment; ask for the path it leads to")
    return path


def _spelled(escape: re.Match[str]) -> str:
    if escape[1] is None:
        raise ValueError("the path has a % in it that begins no escape; write %25")
    code = int(escape[1], 16)
    if code < 0x20 or code == 0x7F:
        raise ValueError(f"the path has the control character {escape[0].upper()} in it")
    char = chr(code)
    return char if char in _UNRESERVED else escape[0].upper()


def _escaped(char: re.Match[str]) -> str:
    return f"%{ord(char[0]):02X}"


def segments(path: str) -> list[str]:
    """The segments of a canonical path, decoded, as rules about paths compare them.

    Raises ValueError for a path that servers read in more than one way.
    """
    found = _TWO_FACED.search(path)
    if found:
        raise ValueError(f"a path with {found[0]} in it is read in more than one way")
    parts = path[1:].split("/")
    return [_decoded(part) for part in parts] if "%" in path else parts


def _decoded(part: str) -> str:
    if "%" not in part:
        return part
    from urllib.parse import unquote  # here and below, as few paths need it

    try:
        text = unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("the path has encoded bytes in it that are no text") from None
    if not text.isascii():
        from unicodedata import normalize

        # Some servers take a full-width slash for a slash, or two of its dots for `..`.
        foreign = normalize("NFKC", "".join(char for char in text if not char.isascii()))
        if _STRUCTURE.search(foreign) or normalize("NFKC", text) in (".", ".."):
            raise ValueError("the path has a character in it that passes for another")
    return text


def folded(parts: Sequence[str]) -> list[str]:
    """Segments as those compare them who must not be evaded: in any case, whatever ends them.

    Many servers take `/Admin`, `/admin` and `/admin/` for one, so what denies one denies all.
    """
    found = fold("/".join(parts)).split("/")
    return found[:-1] if len(found) > 1 and not found[-1] else found


def fold(text: str) -> str:
    """Text without regard to case and to Unicode's several spellings of one character."""
    if text.isascii():
        return text.lower()
    from unicodedata import normalize

    return normalize("NFKC", normalize("NFKC", text).casefold())
