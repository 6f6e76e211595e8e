"""A server that could repeat a secret is asked for what can be looked through, and no more."""

from __future__ import annotations

import gzip

import brotli
import pytest

from engine.play import ask
from moat.core.secret import Secret
from moat.engine.clean import cleaner_for, prepare_request
from moat.engine.messages import Headers, Response
from moat.engine.transform import Cleaner, Refused

KEY = "sk-real-7f3a9c1e5b2d8064"
STARS = b"*" * len(KEY)
SECRETS = [Secret(KEY)]
ECHO = f'{{"you": "Bearer {KEY}"}}'.encode()
CLEAN = ECHO.replace(KEY.encode(), STARS)


def answer(headers: Headers = (), status: int = 200, body: int | None = None) -> Response:
    return Response(status, headers, b"OK", None, body)


def cleaned(response: Response, body: bytes) -> tuple[Response, bytes]:
    """Both, as the client gets them."""
    response, cleaner = cleaner_for(response, SECRETS)
    assert cleaner is not None
    return response, cleaner.feed(body) + cleaner.finish()


def cleaner_of(response: Response) -> Cleaner:
    _, cleaner = cleaner_for(response, SECRETS)
    assert cleaner is not None
    return cleaner


@pytest.mark.parametrize(
    ("expected", "accepted"),
    [
        (b"gzip, deflate, br, zstd", [b"gzip, deflate, br, zstd"]),
        (b"GZIP;q=0.5, x-gzip", [b"GZIP;q=0.5", b"x-gzip , compress"]),
        (b"gzip", [b"gzip, dcb, dcz, aws-chunked, lz4, *;q=0.1"]),
        (b"identity", [b"*"]),
        (b"identity", [b""]),
        (b"identity", [b"compress"]),
        (b"identity;q=0, br", [b"identity;q=0, br"]),
    ],
)
def test_codings_are_asked_for_that_can_be_undone(expected: bytes, accepted: list[bytes]) -> None:
    """And no others, nor any."""
    request = ask(headers=(*((b"accept-encoding", value) for value in accepted), (b"A", b"b")))
    assert ((b"A", b"b"), (b"Accept-Encoding", expected)) == prepare_request(request).headers


@pytest.mark.parametrize(
    "name",
    [
        "Range",
        "IF-RANGE",
        "A-IM",
        "Available-Dictionary",
        "Dictionary-ID",
        "Sec-WebSocket-Extensions",
        "Grpc-Accept-Encoding",
        "Connect-Accept-Encoding",
        "Accept-Charset",
    ],
)
def test_what_could_not_be_looked_through_is_not_asked_for(name: str) -> None:
    """By that header; others go on as they are."""
    kept = ((b"Accept", b"*/*"), (b"Sec-WebSocket-Protocol", b"x"), (b"X-Range", b"y"))
    request = ask(headers=(*kept, (name.encode(), b"bytes=0-10")))
    assert kept == prepare_request(request).headers


def test_a_request_without_such_headers_stays_as_it_is() -> None:
    """Also one that says nothing of codings."""
    request = ask(headers=((b"Accept", b"*/*"),))
    assert request == prepare_request(request)


def test_a_secret_is_taken_out_of_head_and_body() -> None:
    """Names, values and reason of the head too; the length stays what it was."""
    response = Response(
        401,
        (
            (b"Content-Length", b"%d" % len(ECHO)),
            (b"X-Echo", KEY.encode()),
            (b"X-" + KEY.encode(), b"a"),
            (b"Location", b"/?key=" + KEY.replace("-", "%2d").encode()),
            (b"ETag", b'"a"'),
        ),
        b"No " + KEY.encode(),
        None,
        len(ECHO),
    )
    expected = Response(
        401,
        (
            (b"Content-Length", b"%d" % len(ECHO)),
            (b"X-Echo", STARS),
            (b"x-" + STARS, b"a"),
            (b"Location", b"/?key=" + b"*" * (len(KEY) + 4)),
            (b"ETag", b'"a"'),
        ),
        b"No " + STARS,
        None,
        len(ECHO),
    )
    assert (expected, CLEAN) == cleaned(response, ECHO)


def test_a_secret_in_the_reason_alone_is_taken_out() -> None:
    """Nothing else tells of it."""
    response = answer()._replace(reason=KEY.encode())
    assert STARS == cleaner_for(response, SECRETS)[0].reason


def test_an_answer_without_a_secret_stays_as_it_is() -> None:
    """The very same head, and every byte."""
    response = answer(((b"Server", b"x"), (b"Content-Digest", b"sha-256=:c2stcmVhbC0=:")))
    head, body = cleaned(response, b"sk-real- is no secret")
    assert head is response
    assert b"sk-real- is no secret" == body


@pytest.mark.parametrize("secrets", [[], [Secret("")], [Secret("short")]])
def test_where_there_is_nothing_to_look_for_nothing_is_done(secrets: list[Secret]) -> None:
    """A coding that is not known goes on as well."""
    response = answer(((b"Content-Encoding", b"compress"),), status=206)
    assert (response, None) == cleaner_for(response, secrets)


@pytest.mark.parametrize("coding", [b"gzip", b"GZip", b"x-gzip", b"identity, gzip"])
def test_a_coded_answer_goes_on_without_its_coding(coding: bytes) -> None:
    """Nor with what was said of the coded bytes."""
    body = gzip.compress(ECHO)
    response = answer(
        (
            (b"Content-Encoding", coding),
            (b"content-length", b"%d" % len(body)),
            (b"Content-Type", b"application/json"),
            (b"ETag", b'"a"'),
            (b"Content-MD5", b"x"),
            (b"Digest", b"x"),
            (b"Content-Digest", b"x"),
            (b"Repr-Digest", b"x"),
            (b"Vary", b"Accept-Encoding"),
        ),
        body=len(body),
    )
    kept = (
        (b"Content-Type", b"application/json"),
        (b"ETag", b'W/"a"'),
        (b"Vary", b"Accept-Encoding"),
    )
    assert (response._replace(headers=kept, body=None), CLEAN) == cleaned(response, body)


def test_several_codings_are_undone_from_the_last_to_the_first() -> None:
    """Also from several headers."""
    response = answer(((b"Content-Encoding", b"gzip"), (b"Content-Encoding", b"br")))
    assert CLEAN == cleaned(response, brotli.compress(gzip.compress(ECHO)))[1]


def test_a_weak_tag_stays_one() -> None:
    """It says no more than it did."""
    response = answer(((b"Content-Encoding", b"gzip"), (b"ETag", b'W/"a"')))
    assert ((b"ETag", b'W/"a"'),) == cleaner_for(response, SECRETS)[0].headers


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, ((b"Content-Encoding", b"compress"),)),
        (200, ((b"Content-Encoding", b"gzip, dcb"),)),
        (200, ((b"Content-Encoding", b"gzip;q=1"),)),
        (206, ((b"Content-Range", b"bytes 0-5/50"),)),
        (226, ((b"IM", b"vcdiff"),)),
        (200, ((b"grpc-encoding", b"gzip"),)),
        (200, ((b"Connect-Content-Encoding", b"br"),)),
        (200, ((b"Content-Type", b"text/html; charset=UTF-16"),)),
        (200, ((b"Content-Type", b'text/html; charset="utf-32be"; x=y'),)),
        (200, ((b"Content-Type", b"text/plain; Charset = utf16le"),)),
        (200, ((b"Content-Type", b"text/plain;charset=utf-7"),)),
    ],
)
def test_what_cannot_be_looked_through_is_refused(status: int, headers: Headers) -> None:
    """Before any of it goes on."""
    with pytest.raises(Refused) as refused:
        cleaner_for(answer(headers, status), SECRETS)
    problem = refused.value.problem
    assert (502, "answer-encoding") == (problem.status, problem.kind)
    # Where there is no body there is nothing in it: a HEAD, a 304.
    assert cleaner_for(answer(headers, status, body=0), SECRETS)[1] is not None


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, ((b"Content-Encoding", b"identity"),)),
        (200, ((b"Content-Encoding", b""),)),
        (200, ((b"grpc-encoding", b"identity"),)),
        (200, ((b"Content-Type", b"text/html; charset=utf-8"),)),
        (200, ((b"Content-Type", b"text/html; charset=windows-1252"),)),
        (200, ((b"Content-Type", b"multipart/mixed; boundary=utf-16"),)),
        (207, ()),
        (416, ((b"Content-Range", b"bytes */50"),)),
    ],
)
def test_what_can_be_looked_through_goes_on(status: int, headers: Headers) -> None:
    """The twins of what is refused."""
    response = answer(headers, status)
    assert (response, CLEAN) == cleaned(response, ECHO)


def test_a_coding_that_ends_early_is_refused_at_the_end() -> None:
    """What was decoded has gone on by then; the rest does not come."""
    cleaner = cleaner_of(answer(((b"Content-Encoding", b"gzip"),)))
    cleaner.feed(gzip.compress(ECHO)[:-4])
    with pytest.raises(Refused):
        cleaner.finish()


def test_a_coded_answer_without_a_byte_is_none() -> None:
    """As there are for Content-Length: 0 where it is not known that it is."""
    assert b"" == cleaner_of(answer(((b"Content-Encoding", b"gzip"),))).finish()


def test_trailers_are_cleaned() -> None:
    """And say nothing of a coded body once it is not coded any more."""
    trailers = ((b"X-Echo", KEY.encode()), (b"Content-Digest", b"x"))
    cleaner = cleaner_of(answer())
    assert ((b"X-Echo", STARS), (b"Content-Digest", b"x")) == cleaner.fields(trailers)
    cleaner = cleaner_of(answer(((b"Content-Encoding", b"gzip"),)))
    assert ((b"X-Echo", STARS),) == cleaner.fields(trailers)
    assert trailers[1:] == cleaner_of(answer()).fields(trailers[1:])


def test_early_hints_are_cleaned() -> None:
    """An answer that is none yet has a head, too."""
    response, _ = cleaner_for(Response(103, ((b"Link", KEY.encode()),)), SECRETS)
    assert ((b"Link", STARS),) == response.headers


def switched(*headers: tuple[bytes, bytes]) -> Response:
    return Response(101, headers, b"Switching Protocols", "websocket")


def test_a_websocket_is_looked_through_frame_by_frame() -> None:
    """A frame stays as long as it was."""
    response, cleaner = cleaner_for(switched((b"X-Echo", KEY.encode())), SECRETS)
    assert cleaner is not None
    assert ((b"X-Echo", STARS),) == response.headers
    assert bytes((0x81, 24)) + STARS == cleaner.feed(bytes((0x81, 24)) + KEY.encode())


def test_a_websocket_with_an_extension_is_refused() -> None:
    """None was asked for; it could be compression."""
    with pytest.raises(Refused, match="extension"):
        cleaner_for(switched((b"Sec-WebSocket-Extensions", b"permessage-deflate")), SECRETS)
    assert cleaner_for(switched((b"Sec-WebSocket-Protocol", b"x")), SECRETS)[1] is not None
