"""A secret that is repeated does not come back, however it is spelled and wherever it is cut."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moat.core.secret import Secret
from moat.engine.scrub import Scrubber, scrubbed
from moat.engine.spellings import Spellings

KEY = "sk-real-7f3a9c1e5b2d8064"
TWIN = "sk-fake-0123456789abcdef"
ODD = r"""pa"ss\wo'rd/+ <~&=%41>"""
PEM = "-----BEGIN KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ7f3a9c1e5b\n"

Encoder = Callable[[str], bytes]


def bytewise(form: str) -> Encoder:
    return lambda text: "".join(form.format(byte) for byte in text.encode()).encode()


def unless_alnum(form: str) -> Encoder:
    """As encoders do that trust nothing but letters and digits."""
    return lambda text: "".join(
        one if one.isalnum() else "".join(form.format(byte) for byte in one.encode())
        for one in text
    ).encode()


def in_base64(before: str, after: str, *, url: bool = False) -> Encoder:
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    return lambda text: encode((before + text + after).encode())


# What a server may make of ASCII when it quotes it.
SPELLED: dict[str, Encoder] = {
    "plain": str.encode,
    "hex": lambda text: text.encode().hex().encode(),
    "HEX": lambda text: text.encode().hex().upper().encode(),
    "percent": lambda text: quote(text, safe="").encode(),
    "percent of a path": lambda text: quote(text).encode(),
    "percent, lower case": lambda text: re.sub(
        "%..", lambda one: one[0].lower(), quote(text, safe="")
    ).encode(),
    "form": lambda text: quote_plus(text).encode(),
    "percent, all": bytewise("%{:02X}"),
    "percent, all but letters and digits": unless_alnum("%{:02x}"),
    "json": lambda text: json.dumps(text)[1:-1].encode(),
    "json of php": lambda text: json.dumps(text)[1:-1].replace("/", "\\/").encode(),
    "json in html": lambda text: re.sub(
        "[<>&'+]", lambda one: f"\\u{ord(one[0]):04x}", json.dumps(text)[1:-1]
    ).encode(),
    "json, all": bytewise("\\u{:04x}"),
    "json, ALL": bytewise("\\u{:04X}"),
    "javascript": unless_alnum("\\u{:04X}"),
    "javascript, hex": unless_alnum("\\x{:02x}"),
    "html": lambda text: html.escape(text).encode(),
    "html, apos": lambda text: html.escape(text).replace("&#x27;", "&apos;").encode(),
    "html, decimal": unless_alnum("&#{};"),
    "html, padded": bytewise("&#{:05};"),
    "html, hex": unless_alnum("&#x{:x};"),
    "html, HEX": bytewise("&#X{:X};"),
}  # fmt: skip
IN_BASE64: dict[str, Encoder] = {
    "base64": in_base64("", ""),
    "base64, one before": in_base64("a", "b"),
    "base64, two before": in_base64("ab", "bc"),
    "base64, basic": in_base64("x-access-token:", ""),
    "base64, url": in_base64("?>", "?>", url=True),
    "base64 in a url": lambda text: quote(in_base64("u:", "?>")(text), safe="").encode(),
    "base64 in json of php": lambda text: in_base64("u:", "")(text).replace(b"/", b"\\/"),
    "base64 in json of .net": lambda text: in_base64("u:", "")(text).replace(b"+", b"\\u002B"),
    "base64 of a mail": lambda text: base64.encodebytes(f"{'x' * 90}{text}{'y' * 90}".encode()),
    "base64 of a mail, crlf": lambda text: base64.encodebytes(
        f"{'x' * 91}{text}{'y' * 90}".encode()
    ).replace(b"\n", b"\r\n"),
    "base64 of a mail in json": lambda text: base64.encodebytes(
        f"{'x' * 92}{text}{'y' * 90}".encode()
    ).replace(b"\n", b"\\n"),
    "base64 of a mail in json, crlf": lambda text: base64.encodebytes(
        f"{'x' * 93}{text}{'y' * 90}".encode()
    ).replace(b"\n", b"\\r\\n"),
    "base64 of ruby": lambda text: re.sub(
        b"(.{60})", rb"\1\n", in_base64("x" * 40, "y" * 90)(text)
    ),
}

places = st.lists(st.integers(0, 400), max_size=8)
printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=8, max_size=60)
# Of what an escape is made of, besides what it stands for.
noise = st.lists(
    st.sampled_from(
        [b"sk-", b"sk-real-7f", b"%7", b"%73", b"\\u00", b"\\x73", b"\\", b"&#1", b"&#115;", b"&am",
     b"&#233;",
         b"c2st", b"A" * 60, b"\n", b"\r\n", b"\\n", b"\\r", b"736b", b" ", b'"', b"\xff"]
    ),
    max_size=8,
).map(b"".join)  # fmt: skip


def scrubber(*secrets: str) -> Scrubber:
    return Scrubber(Spellings.of([Secret(secret) for secret in secrets]))


def stream(secret: str, pieces: list[bytes]) -> bytes:
    one = scrubber(secret)
    return b"".join([*map(one.feed, pieces), one.finish()])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("secret", [KEY, ODD, PEM], ids=["key", "odd", "pem"])
@pytest.mark.parametrize("spelled", SPELLED)
def test_every_spelling_is_taken_out_wherever_it_is_cut(secret: str, spelled: str) -> None:
    """In as many bytes; what stands around it stays."""
    hidden = SPELLED[spelled](secret)
    answer = b'{"said": "' + hidden + b'"}\n'
    expected = answer.replace(hidden, b"*" * len(hidden))
    for place in range(0, len(answer) + 1, 1 + len(secret) // 50):
        assert expected == stream(secret, [answer[:place], answer[place:]])
    assert expected == stream(secret, [bytes((byte,)) for byte in answer])


@pytest.mark.parametrize("spelled", SPELLED)
def test_what_is_no_secret_passes_in_every_spelling(spelled: str) -> None:
    """Byte for byte, however alike it is."""
    answer = b'{"said": "' + SPELLED[spelled](TWIN) + b'"}\n'
    assert answer == stream(KEY, [bytes((byte,)) for byte in answer])


@pytest.mark.parametrize("secret", [KEY, ODD], ids=["key", "odd"])
@pytest.mark.parametrize("spelled", IN_BASE64)
def test_base64_is_taken_out_wherever_it_is_cut(secret: str, spelled: str) -> None:
    """All but the characters at its ends that say something of what is around it, too."""
    answer = b'{"said": "' + IN_BASE64[spelled](secret) + b'"}\n'
    whole = stream(secret, [answer])
    assert len(answer) == len(whole)
    (stars,) = re.findall(rb"\*+", whole)
    assert len(stars) >= len(secret) * 8 // 6 - 2
    for place in range(len(answer) + 1):
        assert whole == stream(secret, [answer[:place], answer[place:]])
    assert whole == stream(secret, [bytes((byte,)) for byte in answer])


@pytest.mark.parametrize("spelled", IN_BASE64)
def test_base64_of_something_else_passes(spelled: str) -> None:
    """Also where it is broken into lines."""
    answer = IN_BASE64[spelled](TWIN)
    assert answer == stream(KEY, [bytes((byte,)) for byte in answer])


@given(printable, st.sampled_from(sorted(SPELLED)), noise, noise, places)
@example('a%41bc"def/', "json", b"", b"", [])
@example("ab\\/&amp;cd", "html", b"", b"", [])
@example(KEY, "percent, all", b"&#233;", b"", [])
def test_any_secret_is_taken_out(
    secret: str, spelled: str, before: bytes, after: bytes, places: list[int]
) -> None:
    """Also one that looks like an escape itself."""
    hidden = SPELLED[spelled](secret)
    answer = before + hidden + b" " + after
    seen = stream(secret, cut(answer, places))
    assert len(answer) == len(seen)
    assert b"*" * len(hidden) == seen[len(before) : len(before) + len(hidden)]


@pytest.mark.parametrize(
    ("before", "secret", "spelled"),
    [
        (b"%7", "0000000:", "percent"),
        (b"%", "7a000000:", "percent"),
        (b"\\u00", "7a000000/", "json of php"),
        (b"\\x7", "a0000000/", "json of php"),
        (b"&#11", "5;000000<", "html"),
    ],
)
def test_what_comes_before_hides_nothing(before: bytes, secret: str, spelled: str) -> None:
    """Though with it the beginning of a secret reads like something else."""
    hidden = SPELLED[spelled](secret)
    answer = before + hidden
    for place in range(len(answer) + 1):
        assert before + b"*" * len(hidden) == stream(secret, [answer[:place], answer[place:]])


WAYS = ("{0}", "{0}", "%{1:02x}", "%{1:02X}", "\\u{1:04x}", "\\x{1:02X}", "&#{1};", "&#x{1:x};")


@given(st.lists(st.sampled_from(WAYS), min_size=len(KEY), max_size=len(KEY)), noise, noise, places)
def test_every_character_may_be_escaped_in_its_own_way(
    ways: list[str], before: bytes, after: bytes, places: list[int]
) -> None:
    """What comes out of two encoders in a row, or of an odd one."""
    hidden = "".join(way.format(one, ord(one)) for way, one in zip(ways, KEY, strict=True)).encode()
    answer = before + hidden + after
    seen = stream(KEY, cut(answer, places))
    assert b"*" * len(hidden) == seen[len(before) : len(before) + len(hidden)]
    assert len(answer) == len(seen)


OVERLAPPING = (
    *("aaaaaaaaaa", "aabaabaab", "baabaaaac", "c2staabaab"),
    *(KEY, "f3a9c1e5b2d8064-sk-real-", f"({KEY})more", "aab(sk-real-"),
)
overlapping = st.lists(
    st.sampled_from(
        [b"a", b"b", b"aab", b"c2st", KEY.encode(), b"-sk-real-", b"(", b")mo", b")more", b"%61",
         b"\\u0061", b"\n", b"x" * 60]
    ),
    max_size=30,
).map(b"".join)  # fmt: skip


@given(overlapping, places)
def test_where_it_is_cut_makes_no_difference(answer: bytes, places: list[int]) -> None:
    """Nor that secrets overlap: whatever belongs to one is taken out."""
    whole, parted = scrubber(*OVERLAPPING), scrubber(*OVERLAPPING)
    expected = whole.feed(answer) + whole.finish()
    seen = b"".join([*map(parted.feed, cut(answer, places)), parted.finish()])
    assert expected == seen
    assert whole.found == parted.found
    assert not any(secret.encode() in seen for secret in OVERLAPPING)
    kept = zip(answer, seen, strict=True)
    assert all(before == after or after == ord("*") for before, after in kept)


@given(st.binary(max_size=300), places)
def test_bytes_of_any_kind_pass(answer: bytes, places: list[int]) -> None:
    """In their order, all of them."""
    assert answer == stream(KEY, cut(answer, places))


@given(noise, places)
def test_beginnings_that_come_to_nothing_are_let_go(answer: bytes, places: list[int]) -> None:
    """What only began like one is all there."""
    assert answer == stream(KEY, cut(answer, places))


@pytest.mark.parametrize(
    ("passed", "arrived"),
    [
        (b"data: hello\n\n", b"data: hello\n\n"),
        (b"data: ", b"data: sk-re"),
        (b"event: c", b"event: cs"),
        (b'{"a": 1}', b'{"a": 1}'),
        (b"100", b"100%"),
        (b"a ", b"a %73\\u006b&#45;"),
        (b"a ", b"a %73\\u006"),
        (b"a %74", b"a %74"),
        (b"a ", b"a c2stcmVhbC"),
        (b"c2stcmVhbC\n", b"c2stcmVhbC\n"),
        (b"A" * 60, b"A" * 60 + b"c2stcmVhbC\n"),
        (b"A" * 60 + b"c2stcmVhbC\n\n", b"A" * 60 + b"c2stcmVhbC\n\n"),
    ],
)
def test_only_what_may_be_the_beginning_of_a_secret_is_held_back(
    passed: bytes, arrived: bytes
) -> None:
    """And goes on when it turns out to be none."""
    one = scrubber(KEY)
    assert passed == one.feed(arrived)
    assert arrived[len(passed) :] == one.finish()


def test_a_secret_that_is_over_is_not_waited_for() -> None:
    """Its stars go on at once."""
    one = scrubber(KEY)
    assert b"*" * len(KEY) == one.feed(KEY.encode())


def test_it_is_known_how_many_were_found() -> None:
    """Each one once, though it came in two parts."""
    one = scrubber(KEY, "another-secret")
    pieces = [f"{KEY} another-sec".encode(), f"ret {KEY} else".encode()]
    stars = b"*" * len(KEY)
    assert stars + b" " + b"*" * 14 + b" " + stars + b" else" == b"".join(map(one.feed, pieces))
    assert 3 == one.found


def test_what_is_found_is_counted_once_though_it_waits() -> None:
    """For it may be a part of another."""
    one = scrubber("abcdefgh", "xabcdefgh-and-more")
    assert b"" == one.feed(b"xabcdefgh")
    assert b"x********!" == one.feed(b"!")
    assert b"" == one.feed(b"xabcdefgh")
    assert b"x********" == one.finish()
    assert 2 == one.found


@pytest.mark.parametrize("secret", ["", "short", "1234567"])
def test_a_secret_that_is_hardly_one_is_not_looked_for(secret: str) -> None:
    """It would be found where it was never meant."""
    assert not Spellings.of([Secret(secret)])
    assert b"a short 1234567" == stream(secret, [b"a short 1234567"])


def test_a_text_by_itself() -> None:
    """Nothing of it is held back."""
    spellings = Spellings.of([Secret(KEY)])
    assert b"Bearer " + b"*" * len(KEY) == scrubbed(b"Bearer " + KEY.encode(), spellings)
    assert b"Bearer sk-real-" == scrubbed(b"Bearer sk-real-", spellings)


def test_the_same_secrets_are_made_ready_once() -> None:
    """Whatever object they come in."""
    assert Spellings.of([Secret(KEY)]) is Spellings.of([Secret(KEY)])
    assert Spellings.of([Secret(KEY)]) is not Spellings.of([Secret(TWIN)])
