"""A placeholder is replaced where it stands, and the secret is written as its place wants it."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.splitting import pieces_of, splits
from moat.engine.substitute import (
    Replacing,
    as_written_in,
    holds_in_query,
    in_query,
    in_value,
    without_others,
)

PLACEHOLDER = "moat-proxy-injected-x-00000000"
ODD = 'a/b+c=d&e "f\\ %41;é'
OTHER_ALPHABET = bytes.maketrans(b"+/", b"-_")


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


# headers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (PLACEHOLDER.encode(), b"s3cret"),
        (b"Bearer " + PLACEHOLDER.encode(), b"Bearer s3cret"),
        (f"a={PLACEHOLDER}; b=1".encode(), b"a=s3cret; b=1"),
        (basic(f"me:{PLACEHOLDER}"), basic("me:s3cret")),
        (basic(f"{PLACEHOLDER}:x-oauth-basic"), basic("s3cret:x-oauth-basic")),
        (basic(f"{PLACEHOLDER}:").rstrip(b"="), basic("s3cret:")),
        (b"bAsIc   " + basic(f"me:{PLACEHOLDER}")[6:], b"bAsIc " + basic("me:s3cret")[6:]),
        (basic(f"~~~?:{PLACEHOLDER}").translate(OTHER_ALPHABET), basic("~~~?:s3cret")),
        (basic("me:somebody-elses"), None),
        (b"Basic !!!", None),
        (b"Basic A", None),
        (b"Bearer " + basic(PLACEHOLDER)[6:], None),
        (b"", None),
    ],
)
def test_a_header_is_filled_also_within_basic(value: bytes, expected: bytes | None) -> None:
    """RFC 7617 encodes what the client was given; of other encodings nothing is made."""
    assert expected == in_value(value, PLACEHOLDER.encode(), b"s3cret")


# queries


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (f"/v1?key={PLACEHOLDER}", "/v1?key=S"),
        (f"/v1?a=1&key={PLACEHOLDER}&b=2", "/v1?a=1&key=S&b=2"),
        (f"/v1?a=1;key={PLACEHOLDER};b", "/v1?a=1;key=S;b"),
        (f"/v1?k%65y={PLACEHOLDER}", "/v1?k%65y=S"),
        (f"/v1?key=x{PLACEHOLDER}y", "/v1?key=xSy"),
        (f"/v1?key=attackers&key={PLACEHOLDER}", "/v1?key=S"),
        (f"/v1?key={PLACEHOLDER}&k%65y=attackers&a=1", "/v1?key=S&a=1"),
        ("/v1?key=attackers", "/v1"),
        ("/v1?key", "/v1"),
        ("/v1?key=attackers&a=%20", "/v1?a=%20"),
        (f"/v1?q={PLACEHOLDER}", f"/v1?q={PLACEHOLDER}"),
        (f"/{PLACEHOLDER}?a=1", f"/{PLACEHOLDER}?a=1"),
        ("/v1?", "/v1?"),
        ("/v1?a&&b", "/v1?a&&b"),
        ("/v1", "/v1"),
    ],
)
def test_one_parameter_of_a_query_is_filled(target: str, expected: str) -> None:
    """In that parameter alone, however it is spelled; values of the client's own go out of it."""
    assert expected == in_query(target, "key", PLACEHOLDER, "S")
    assert expected.replace("=S", f"={PLACEHOLDER}").replace("=xSy", f"=x{PLACEHOLDER}y") == (
        without_others(target, "key", PLACEHOLDER)
    )
    filled = f"={PLACEHOLDER}" in target and "?q=" not in target
    assert (filled or "=x" in target) == holds_in_query(target, "key", PLACEHOLDER)


@given(st.text(min_size=1))
def test_a_secret_in_a_query_is_one_value(secret: str) -> None:
    """Whatever it consists of, it neither ends the parameter nor begins another."""
    try:
        secret.encode()
    except UnicodeEncodeError:
        return
    target = in_query(f"/v1?a=1&key={PLACEHOLDER}&b=2", "key", PLACEHOLDER, secret)
    query = urlsplit(f"https://x{target}").query
    assert [("a", "1"), ("key", secret), ("b", "2")] == parse_qsl(query)


# bodies


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/vnd.x+json",
        "application/x-ndjson",
    ],
)
def test_a_secret_in_json_is_escaped(kind: str) -> None:
    """It is the same text once it is read, and ends no string."""
    written = as_written_in(((b"Content-Type", kind.encode()),), ODD)
    assert {"key": ODD} == json.loads(b'{"key": "' + written + b'"}')


def test_a_secret_in_a_form_is_encoded() -> None:
    """It is one value of the form."""
    headers = ((b"content-type", b"application/x-www-form-urlencoded"),)
    body = b"a=1&key=" + as_written_in(headers, ODD) + b"&b=2"
    assert {"a": ["1"], "key": [ODD], "b": ["2"]} == parse_qs(body.decode())


@pytest.mark.parametrize("headers", [(), ((b"Content-Type", b"text/plain"),)])
def test_anything_else_holds_it_as_it_is(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    """Nothing is known of its escapes."""
    assert ODD.encode() == as_written_in(headers, ODD)


@given(splits([b"AAB", b"A", b"B", b"x", b"AA"]))
def test_a_body_is_filled_however_it_is_split(split: list[bytes]) -> None:
    """What comes out is what a replacement in the whole would give."""
    replacing = Replacing(b"AAB", b"<secret>")
    out = b"".join([*(replacing.feed(piece) for piece in split), replacing.finish()])
    assert b"".join(split).replace(b"AAB", b"<secret>") == out


def test_only_a_beginning_is_held_back() -> None:
    """What cannot be the placeholder goes on at once, so that nothing waits for the end."""
    replacing = Replacing(b"AAB", b"!")
    assert [b"xA", b"AAx", b"!x", b"", b"A"] == [
        replacing.feed(piece) for piece in (b"xAAA", b"x", b"AABx", b"AA", b"A")
    ]
    assert b"AA" == replacing.finish()


def test_a_filled_body_may_be_of_another_length() -> None:
    """Of one byte a piece, too."""
    replacing = Replacing(PLACEHOLDER.encode(), b"s")
    body = f"a {PLACEHOLDER} b {PLACEHOLDER}".encode()
    out = b"".join([*map(replacing.feed, pieces_of(body, 1)), replacing.finish()])
    assert b"a s b s" == out
