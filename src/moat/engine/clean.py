"""What a request asks for, and what becomes of its answer, where a secret goes to the server.

The request asks for no more than can be looked through: no coding that cannot be undone, no
parts (a secret would come in two halves), no compression within a WebSocket or a call. The
answer is looked through, head and body; what cannot be is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from moat.core.secret import Secret
from moat.engine.coding import DECODABLE, Decoder, decoder_for, refused
from moat.engine.fields import Headers, block, extended, get_all, get_some, without
from moat.engine.messages import Request, Response, tokens
from moat.engine.scrub import Scrubber, scrubbed
from moat.engine.spellings import Spellings
from moat.engine.transform import Cleaner
from moat.engine.websocket import FrameScrubber

_IDENTITY = b"identity"
_SEMICOLON = ord(";")

# Of requests: RFC 9110 section 14 (parts), RFC 3229 (differences), RFC 9842 (dictionaries),
# RFC 6455 section 9, gRPC and Connect; Accept-Charset could ask for UTF-16.
_ASK_FOR_TOO_MUCH = frozenset(
    {
        b"range",
        b"if-range",
        b"a-im",
        b"available-dictionary",
        b"dictionary-id",
        b"sec-websocket-extensions",
        b"grpc-accept-encoding",
        b"connect-accept-encoding",
        b"accept-charset",
    }
)
# Those, and the one that is written anew.
_NOT_AS_ASKED = _ASK_FOR_TOO_MUCH | {b"accept-encoding"}
# Answers to those: what was not asked for should not come.
_PARTIAL = {206: "a part of what was asked for", 226: "a difference to what was before"}
# What says how the body is to be read; the last two are of messages within it.
_TELLING = frozenset(
    {b"content-encoding", b"content-type", b"grpc-encoding", b"connect-content-encoding"}
)

# What is true of the coded body alone. A digest of an uncoded one stays: where a secret was taken
# out it shows that.
_OF_CODED = frozenset(
    {
        b"content-encoding",
        b"content-length",
        b"content-md5",
        b"digest",
        b"content-digest",
        b"repr-digest",
    }
)
# In these ASCII is not written as ASCII.
_UNREADABLE = re.compile(
    rb"charset\s*=\s*[\"']?\s*((?:cs)?(?:utf-?(?:7|16|32)|ucs-?[24]|unicode|iso-10646|ebcdic)[^;\"']*)",
    re.IGNORECASE,
)


def prepare_request(request: Request) -> Request:
    """The request as it is sent to a server whose answer will be looked through."""
    accepted = get_all(request.headers, b"accept-encoding")
    headers = without(request.headers, _NOT_AS_ASKED)
    if accepted:
        line = (b"Accept-Encoding", _decodable(b",".join(accepted)))
        headers = extended(headers, (line,))
    return request.with_headers(headers)


@lru_cache(maxsize=64)  # clients say the same again and again
def _decodable(accepted: bytes) -> bytes:
    """What of an Accept-Encoding names codings that can be undone. `*` could be any."""
    elements = [element.strip() for element in accepted.split(b",")]
    known = {*DECODABLE, _IDENTITY}
    kept = [one for one in elements if one.partition(b";")[0].strip().lower() in known]
    return b", ".join(kept) or _IDENTITY


def cleaner_for(response: Response, secrets: Sequence[Secret]) -> tuple[Response, Cleaner | None]:
    """An answer's head as the client gets it, and what its body goes through; None where there
    is nothing to look for.

    A coded body goes on without its codings, so its length is not known any more. Raises Refused
    for an answer that cannot be looked through.
    """
    spellings = Spellings.of(secrets)
    if not spellings:
        return response, None
    headers = response.headers
    if _may_stand_in(headers, spellings, response.reason):
        headers = _scrubbed(headers, spellings)
        response = response._replace(headers=headers, reason=scrubbed(response.reason, spellings))
    if response.upgrade is not None:
        if get_all(headers, b"sec-websocket-extensions"):
            raise refused("the server wants to use an extension of WebSocket that nobody asked for")
        return response, _SwitchedCleaner(spellings)
    if response.body == 0:
        return response, _BodyCleaner(spellings)
    if response.status in _PARTIAL:
        raise refused(f"the answer is {_PARTIAL[response.status]}, which was not asked for")
    codings = _codings(headers)
    if not codings:
        return response, _BodyCleaner(spellings)
    decoder = decoder_for(codings)
    response = response._replace(headers=_of_decoded(headers), body=None)
    return response, _DecodedCleaner(decoder, spellings)


class _BodyCleaner(Scrubber):
    """The Cleaner of a body as it comes."""

    __slots__ = ()
    piece = 16 * 1024

    def fields(self, headers: Headers) -> Headers:
        """Trailers without secrets."""
        return _clean_fields(headers, self._spellings)


class _DecodedCleaner:
    """The Cleaner of a body whose codings are undone."""

    piece = 2 * 1024  # which can become 200 times as much

    def __init__(self, decoder: Decoder, spellings: Spellings) -> None:
        self._decoder = decoder
        self._scrubber = _BodyCleaner(spellings)

    def feed(self, data: bytes) -> bytes:
        return self._scrubber.feed(self._decoder.feed(data))

    def finish(self) -> bytes:
        return self._scrubber.feed(self._decoder.finish()) + self._scrubber.finish()

    def fields(self, headers: Headers) -> Headers:
        return self._scrubber.fields(without(headers, _OF_CODED))


class _SwitchedCleaner(FrameScrubber):
    """The Cleaner of an upgraded connection, which has no trailers."""

    piece = 1024  # in which there may be some hundred frames

    def fields(self, headers: Headers) -> Headers:
        return _clean_fields(headers, self._spellings)


def _clean_fields(headers: Headers, spellings: Spellings) -> Headers:
    return _scrubbed(headers, spellings) if _may_stand_in(headers, spellings) else headers


def _may_stand_in(headers: Headers, spellings: Spellings, *more: bytes) -> bool:
    """Whether there may be a secret in any of these; all are looked at in one go."""
    # NUL stands in no header, nor does it in a spelling of a secret that came in one.
    lines = block(headers)
    # HTTP/2 has all names in small letters: what would be a secret then, is one.
    return spellings.may_stand_in(b"\0".join([*more, lines, lines.lower()]))


def _scrubbed(headers: Headers, spellings: Spellings) -> Headers:
    return tuple(
        [(_scrubbed_name(name, spellings), scrubbed(value, spellings)) for name, value in headers]
    )


def _scrubbed_name(name: bytes, spellings: Spellings) -> bytes:
    small = name.lower()
    clean = scrubbed(small, spellings)
    return scrubbed(name, spellings) if clean == small else clean


def _codings(headers: Headers) -> list[bytes]:
    """The codings of a body, in the order they were applied. Raises Refused for a body that is
    unreadable in some other way."""
    codings: list[bytes] = []
    for lowered, value in get_some(headers, _TELLING):
        if lowered == b"content-encoding":
            codings += [coding for coding in tokens([value]) if coding != _IDENTITY]
        elif lowered == b"content-type":
            if _SEMICOLON in value and _UNREADABLE.search(value):
                raise refused("the answer is text in an alphabet that Moat cannot read")
        elif value.strip().lower() != _IDENTITY:
            raise refused("the answer is compressed in a way of its own")
    return codings


def _of_decoded(headers: Headers) -> Headers:
    """The headers of a body whose codings were undone: it is not the one its tag names."""
    return tuple(
        [
            (name, b"W/" + value if value.startswith(b'"') and name.lower() == b"etag" else value)
            for name, value in without(headers, _OF_CODED)
        ]
    )
