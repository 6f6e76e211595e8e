"""The framing of a chunked body."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.proxy.h1 import BadMessage
from moat.proxy.h1_body import MAX_CHUNK_LINE, ChunkedBody
from moat.proxy.wire import Wire
from proxy.noise import NOISE

BODY = (
    b'5;name="v"\r\nhello\r\nA ; x\r\n0123456789\r\n1\r\n\r\r\n2\r\n\r\n\r\n'
    b"000\r\nX-Sum: 1\r\nY:\r\n\r\n"
)


DATA = b"hello0123456789\r\r\n"


def scan(pieces: Iterable[bytes]) -> tuple[bytes, bytes, bool]:
    """The data of a body, what is left behind it, and whether it came to its end."""
    wire = Wire()
    body, data = ChunkedBody(wire), b""
    for piece in pieces:
        wire.data_received(piece)
        data += body.take()
    return data, bytes(wire.buffer), body.ended


def test_chunks_are_followed_wherever_they_are_split() -> None:
    """In two at every place, and byte by byte; what follows the body is left."""
    whole = BODY + b"GET /"
    for cut in range(len(whole) + 1):
        assert scan([whole[:cut], whole[cut:]]) == (DATA, b"GET /", True)
    assert scan(bytes([byte]) for byte in whole) == (DATA, b"GET /", True)


@given(st.lists(st.binary(min_size=1, max_size=300)), st.data())
def test_any_body_is_followed_in_any_pieces(chunks: list[bytes], data: st.DataObject) -> None:
    """Whatever the chunks hold and wherever the pieces end."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)))))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert scan([*pieces, b"next"]) == (b"".join(chunks), b"next", True)


@pytest.mark.parametrize(
    "body",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello\rX0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"6\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"5_0\r\n",
        b"5h\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"\r\n5\r\nhello\r\n",
        b";x\r\n",
        b"5;\rx\r\nhello\r\n",
        b"5;\nx\r\nhello\r\n",
        b"5;\0\r\nhello\r\n",
        b"FFFFFFFFFFFFFFFF\r\n",
        b"10000000000000000\r\n",
        b"0000000000000005\r\nhello\r\n",
        b"5;" + b"x" * MAX_CHUNK_LINE,
        b"0\r\n" + b"X: " + b"x" * MAX_CHUNK_LINE,
        b"0\r\nX\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\n X: y\r\n\r\n",
        b"0\r\nX: a\nY: b\r\n\r\n",
        b"0\r\n\n",
        b"0\r\n\rX",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\ntransfer-encoding: chunked\r\n\r\n",
        b"0\r\nHost: evil\r\n\r\n",
        b"0\r\nAuthorization: mine\r\n\r\n",
        b"0\r\nCookie: mine\r\n\r\n",
    ],
)
def test_malformed_chunks_are_refused_and_never_finished(body: bytes) -> None:
    """Whole or byte by byte: no body that is odd ever looks complete."""
    with pytest.raises(BadMessage):
        scan([body + b"\r\n\r\n\r\n"])
    with pytest.raises(BadMessage):
        scan(bytes([byte]) for byte in body + b"\r\n\r\n\r\n")


@given(st.lists(NOISE, max_size=30).map(b"".join))
def test_only_bad_message_escapes(noise: bytes) -> None:
    """Whatever comes in: no more comes out than came in, or BadMessage is raised."""
    try:
        data, left, _ = scan([noise, noise])
    except BadMessage:
        return
    assert data in noise + noise or len(data) + len(left) < 2 * len(noise)
