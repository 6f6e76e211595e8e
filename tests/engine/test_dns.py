"""Questions for names, and their answers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moat.engine.dns import AAAA, MAX_MESSAGE, A, Code, Query, parse_query, render_answer
from support.dns import labels, query

EDNS = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)


def test_a_question_is_read() -> None:
    """The name in the letters it was written in."""
    read = parse_query(query(labels("API.example.Com"), AAAA))
    assert ("API.example.Com", AAAA, 0x1234, False) == (read.name, read.kind, read.number, read.odd)


@pytest.mark.parametrize("counts", [(1, 0, 0, 0), (1, 0, 0, 1)])
def test_what_extends_it_is_tolerated(counts: tuple[int, int, int, int]) -> None:
    """EDNS is on by default in many clients; nothing of it is needed."""
    read = parse_query(query(counts=counts, more=EDNS))
    assert (False, "api.example.com") == (read.odd, read.name)
    assert query()[12:] == read.question


ODD = {
    "two questions": query(counts=(2, 0, 0, 0)),
    "no question": query(counts=(0, 0, 0, 0)),
    "a question with answers": query(counts=(1, 1, 0, 0)),
    "an update": query(flags=5 << 11),
    "a status": query(flags=2 << 11),
    "all of a zone": query(kind=252),
    "whatever there is": query(kind=255),
    "another class": query(of_class=3),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_questions_are_told_apart(what: str) -> None:
    """They are refused in a message that repeats nothing of them."""
    read = parse_query(ODD[what])
    assert read.odd
    answer = render_answer(read, Code.REFUSED)
    assert (0x1234, Code.REFUSED, 12) == (*header(answer)[:1], header(answer)[1] & 15, len(answer))


BAD = {
    "nothing": b"",
    "no head": bytes(11),
    "no name": query()[:12],
    "a name cut short": query()[:20],
    "no type": query()[:-4],
    "no class": query()[:-1],
    "too long": query(more=bytes(MAX_MESSAGE)),
    "an answer": query(flags=0x8100),
    "a pointer": query(b"\xc0\x0c"),
    "a label of the wrong kind": query(b"\x41" + b"a" * 65 + b"\0"),
    "a name too long": query(labels(".".join(["a" * 63] * 4))),
    "a dot in a label": query(b"\x05a.com\0"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_read_gets_no_answer(what: str) -> None:
    """Not even a refusal."""
    with pytest.raises(ValueError):
        parse_query(BAD[what])


def test_the_longest_name_is_read() -> None:
    """The twin of one that is too long: 255 bytes with all their lengths."""
    name = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert name == parse_query(query(labels(name))).name


def header(answer: bytes) -> tuple[int, ...]:
    return struct.unpack_from("!6H", answer)


def test_an_answer_holds_one_address() -> None:
    """The question byte for byte, so that a client finds the letters it chose (0x20)."""
    asked = query(labels("aPi.exaMple.com"))
    answer = render_answer(parse_query(asked), Code.OK, bytes((198, 18, 0, 1)), seconds=60)
    assert (0x1234, 0x8180, 1, 1, 0, 0) == header(answer)
    assert answer[12:].startswith(asked[12:])
    assert b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc6\x12\0\1" == answer[len(asked) :]


@pytest.mark.parametrize("code", [Code.OK, Code.NO_SUCH_NAME, Code.FAILED])
def test_an_answer_may_hold_none(code: Code) -> None:
    """No such name, or none of this type."""
    asked = query(kind=65, flags=0)
    answer = render_answer(parse_query(asked), code)
    assert (0x1234, 0x8080 | code, 1, 0, 0, 0) == header(answer)
    assert asked[12:] == answer[12:]


@settings(deadline=None)
@given(st.binary(max_size=100) | st.binary(max_size=100).map(lambda more: query()[:12] + more))
def test_garbage_is_read_or_dropped(message: bytes) -> None:
    """And whatever was read can be answered."""
    try:
        read = parse_query(message)
    except ValueError:
        return
    answer = render_answer(read, Code.NO_SUCH_NAME)
    assert message[:2] == answer[:2]
    assert len(answer) <= max(12, len(message))


@settings(deadline=None)
@given(st.from_regex(r"[!-\-/-~]{1,63}(\.[!-\-/-~]{1,63}){0,2}", fullmatch=True))
def test_every_name_comes_back_as_it_was(name: str) -> None:
    """Names are bytes; which of them are names of hosts is not decided here."""
    read = parse_query(query(labels(name)))
    assert Query(0x1234, 0x0100, False, name, A, query(labels(name))[12:]) == read
