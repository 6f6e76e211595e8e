"""A placeholder replaced by the secret it stands for, written as its place wants it.

Only what is spelled as the box holds it is replaced: a placeholder that the client encoded some
other way stays one, and the server refuses it.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from moat.engine.messages import Headers, get_all

# RFC 7617: the one scheme whose credential the client encodes. Some write base64's other alphabet.
_BASIC = re.compile(rb"(basic) +([A-Za-z0-9+/_-]+)=* *", re.IGNORECASE)
_STANDARD = bytes.maketrans(b"-_", b"+/")
# What parts the parameters of a query; the second is HTML's older advice, and some servers' habit.
_PARTING = re.compile(r"([&;])")
_JSON = frozenset({b"json", b"json-seq", b"jsonl", b"jsonlines", b"ndjson", b"x-ndjson"})


def in_value(value: bytes, placeholder: bytes, secret: bytes) -> bytes | None:
    """A header's value with the secret in it, also within Basic credentials; None where the
    placeholder does not stand in it."""
    if placeholder in value:
        return value.replace(placeholder, secret)
    if basic := _BASIC.fullmatch(value):
        scheme, text = basic.groups()
        try:
            decoded = binascii.a2b_base64(text.translate(_STANDARD) + b"=" * (-len(text) % 4))
        except binascii.Error:
            return None
        if placeholder in decoded:
            filled = decoded.replace(placeholder, secret)
            return scheme + b" " + binascii.b2a_base64(filled, newline=False)
    return None


def holds(value: bytes, placeholder: bytes) -> bool:
    """Whether a placeholder stands in a header's value, also within Basic credentials."""
    return in_value(value, placeholder, b"") is not None


def in_query(target: str, parameter: str, placeholder: str, secret: str) -> str:
    """A request target with the secret, percent-encoded, in the values of one parameter.

    Values of that parameter which do not hold the placeholder are left out.
    """
    from urllib.parse import quote

    return _rewritten(target, parameter, placeholder, quote(secret, safe=""))


def without_others(target: str, parameter: str, placeholder: str) -> str:
    """A request target without the values of a parameter that do not hold the placeholder."""
    return _rewritten(target, parameter, placeholder, placeholder)


def holds_in_query(target: str, parameter: str, placeholder: str) -> bool:
    """Whether a placeholder stands in a value of a query parameter."""
    return placeholder in target and any(
        placeholder in value
        for _, name, _, value in _pieces(target.partition("?")[2])
        if _is(name, parameter)
    )


def _rewritten(target: str, parameter: str, placeholder: str, written: str) -> str:
    path, mark, query = target.partition("?")
    kept = []
    for parting, name, equals, value in _pieces(query):
        if not _is(name, parameter):
            kept.append((parting, name + equals + value))
        elif placeholder in value:
            kept.append((parting, name + equals + value.replace(placeholder, written)))
    if not kept:
        return path
    return path + mark + kept[0][1] + "".join(parting + piece for parting, piece in kept[1:])


def _pieces(query: str) -> Iterator[tuple[str, str, str, str]]:
    """What stands before each piece of a query, and the piece: its name, `=`, its value."""
    parts = ["", *_PARTING.split(query)]
    for parting, piece in zip(parts[::2], parts[1::2], strict=True):
        yield parting, *piece.partition("=")


def _is(name: str, parameter: str) -> bool:
    if "%" not in name and "+" not in name:
        return name == parameter
    from urllib.parse import unquote_plus

    return unquote_plus(name) == parameter


def as_written_in(headers: Headers, secret: str) -> bytes:
    """A secret as a body of this content type holds it: escaped in JSON, encoded in a form."""
    given = b"".join(get_all(headers, b"content-type")[:1])
    kind, _, subtype = given.partition(b";")[0].strip().lower().partition(b"/")
    if kind == b"application" and subtype == b"x-www-form-urlencoded":
        from urllib.parse import quote_plus

        return quote_plus(secret).encode()
    if subtype in _JSON or subtype.endswith(b"+json"):
        import json

        return json.dumps(secret)[1:-1].encode()
    return secret.encode()


class Replacing:
    """A Transform that replaces a text wherever it stands in a body, over any chunk boundary.

    Held back is only what may be the beginning of the text.
    """

    def __init__(self, text: bytes, replacement: bytes) -> None:
        self._text = text
        self._replacement = replacement
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can go on, these bytes being the next of the body."""
        *before, rest = (self._held + data).split(self._text)
        kept = len(rest) - _begun(rest, self._text)
        self._held = rest[kept:]
        return self._replacement.join((*before, rest[:kept]))

    def finish(self) -> bytes:
        """What was held back, the body having ended."""
        held, self._held = self._held, b""
        return held


def _begun(data: bytes, text: bytes) -> int:
    """How many bytes at the end of some data are a beginning of a text that is not in it."""
    at = data.find(text[:1], max(0, len(data) - len(text) + 1))
    while at >= 0:
        if text.startswith(data[at:]):
            return len(data) - at
        at = data.find(text[:1], at + 1)
    return 0
