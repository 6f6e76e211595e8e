"""A placeholder is known by every spelling that programs give it, and by nothing less."""

from __future__ import annotations

import base64
import textwrap
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.engine.placeholder import MARK, Placeholder, Watched

MINE = f"{MARK}-header-mine-0a1b2c3d"
OTHER = f"{MARK}-header-mine2-4e5f6a7b"
LONG = "sk-" + MARK + "-placeholder-" + "0" * 40
WITHOUT_MARK = "AKIAMOATPROXYINJECTED"
ALL = (
    Placeholder("header:mine", MINE),
    Placeholder("header:mine2", OTHER),
    Placeholder("openai", LONG),
    Placeholder("aws", WITHOUT_MARK),
)
NOTHING: frozenset[str] = frozenset()


def every_letter_encoded(text: str) -> str:
    return "".join(f"%{ord(letter):02x}" for letter in text)


def in_lines(data: bytes) -> bytes:
    return "\r\n".join(textwrap.wrap(base64.b64encode(data).decode(), 76)).encode()


SPELLINGS = {
    "as it is": str.encode,
    "percent-encoded": lambda text: every_letter_encoded(text).encode(),
    "percent-encoded in capitals": lambda text: every_letter_encoded(text).upper().encode(),
    "percent-encoded in part": lambda text: f"%{ord(text[3]):02X}".join(
        text.split(text[3])
    ).encode(),
    "URL-encoded": lambda text: quote(text).encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64, one byte before": lambda text: base64.b64encode(b"x" + text.encode()),
    "base64, two bytes before": lambda text: base64.b64encode(b"x:" + text.encode() + b"\xff"),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(b"?>~" + text.encode() + b"?>~"),
    "base64 in lines": lambda text: in_lines(b"x" * 40 + text.encode()),
    "hex": lambda text: text.encode().hex().encode(),
    "hex in capitals": lambda text: text.encode().hex().upper().encode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("item", ALL, ids=lambda item: item.grant)
def test_every_spelling_is_found(item: Placeholder, spelling: str) -> None:
    """Whatever stands around it; and it is told whose it is."""
    spelled = SPELLINGS[spelling](item.text)
    watched = Watched(ALL)
    for data in (spelled, b"before " + spelled + b" after", b'{"a":"' + spelled + b'"}'):
        assert watched.may_be_in(data)
        assert item.grant == watched.find(data, but=NOTHING)
        assert watched.find(data, but=frozenset({item.grant})) is None
    assert len(spelled) <= watched.reach or "lines" in spelling


@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from(ALL))
def test_base64_is_found_wherever_it_begins(before: bytes, after: bytes, item: Placeholder) -> None:
    """Encoded together with what stands around it, in either alphabet."""
    data = before + item.text.encode() + after
    for encoded in (base64.b64encode(data), base64.urlsafe_b64encode(data)):
        assert Watched(ALL).may_be_in(encoded)
        assert item.grant == Watched([item]).find(encoded, but=NOTHING)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MARK.encode(),
        MINE[:-1].encode(),
        MINE.upper().encode(),
        b"moat-proxy-injected-header-mine-99999999",
        base64.b64encode(MINE[:-4].encode()),
        b"%zz% %6",
    ],
)
def test_less_than_a_placeholder_is_none(data: bytes) -> None:
    """Not the word that they have in common, nor what is almost one."""
    assert Watched(ALL).find(data, but=NOTHING) is None


def test_a_placeholder_of_two_grants_is_either_s() -> None:
    """Where one of them is bound, it may go."""
    watched = Watched([Placeholder("a", MINE), Placeholder("b", MINE)])
    assert "a" == watched.find(MINE.encode(), but=NOTHING)
    assert watched.find(MINE.encode(), but=frozenset({"b"})) is None
    assert watched.are_all_of(frozenset({"b"}))
    assert not watched.are_all_of(frozenset({"c"}))


def test_nothing_to_watch_is_nothing() -> None:
    """Without placeholders every byte may go."""
    watched = Watched(())
    assert not watched
    assert not watched.may_be_in(MINE.encode())
    assert Watched(ALL)


@pytest.mark.parametrize(
    "text", ["", "short", "a b c d e f g", "moat/proxy/injected", "mötproxyin"]
)
def test_what_would_have_to_be_encoded_is_no_placeholder(text: str) -> None:
    """It would not be found in a URL, or in any text that is short enough."""
    with pytest.raises(ValueError, match="is no placeholder of x"):
        Placeholder("x", text)
