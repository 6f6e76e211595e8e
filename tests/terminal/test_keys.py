"""The detach key is found in what is typed, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.errors import UsageError
from moat.terminal.keys import DEFAULT_KEYS, DetachKeys, parse_detach_keys

FIRST = {
    "byte": b"\x1f",
    "kitty": b"\x1b[47;5u",
    "kitty, pressed": b"\x1b[47;5:1u",
    "kitty, num lock": b"\x1b[47;133u",
    "kitty, behind shift": b"\x1b[55:47;6u",
    "xterm": b"\x1b[27;5;47~",
}
SECOND = {
    "byte": b"d",
    "kitty": b"\x1b[100u",
    "kitty, with text": b"\x1b[100;1:1;100u",
    "xterm": b"\x1b[27;1;100~",
}
LET_GO = [b"\x1b[47;5:3u", b"\x1b[57442;5:3u", b"\x1b[47;5:2u", b"\x1b[57442;5u"]
OTHER = [
    b"a", b"D", b"\x04", b"\x1b", b"\x1b[A", b"\x1bOP", b"\x1b[<35;10;20M", b"\x1b[M 1d",
    "é日".encode(), b"\x1b[100;5u", b"\x1b[47u", b"\x1b[I", b"\x1b[", b"\r", b"\x00", b"\x1b[1;5A",
    b"\x1b[200~pasted \x1fd \x1b[47;5ud \x1b[A\x1b[201~", b"\x1b[Md\x1f!", b"\x1b[13;2u",
]  # fmt: skip


def keys(text: str = DEFAULT_KEYS) -> DetachKeys:
    return DetachKeys(parse_detach_keys(text))


def typed(pieces: Iterable[bytes], detach: DetachKeys | None = None) -> tuple[bytes, bool]:
    detach = detach or keys()
    out = b""
    for piece in pieces:
        passed, detached = detach.feed(piece)
        out += passed
        if detached:
            return out, True
    return out, False


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
@pytest.mark.parametrize("second", SECOND.values(), ids=SECOND)
def test_the_keys_detach_however_they_are_told(first: bytes, second: bytes) -> None:
    """What was typed before goes on, the keys and what follows do not."""
    assert (b"text", True) == typed([b"text" + first + second + b"more"])
    assert (b"text", True) == typed([b"text", first, second, b"more"])
    assert (b"", True) == typed([first, *LET_GO, second])


def test_they_are_found_in_pieces() -> None:
    """But for a lone escape, which is a key of its own and does not wait."""
    assert (b"", True) == typed([b"\x1b[4", b"7;5", b"u", b"\x1b[100", b"u"])
    assert (b"\x1b[47;5ud", False) == typed([b"\x1b", b"[47;5u", b"d"])


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_the_first_twice_is_the_first_once(first: bytes) -> None:
    """So a program can be sent it; and then it is not armed any more."""
    assert (first + b"d", False) == typed([first, first, b"d"])
    assert (first, True) == typed([first * 2, first + b"d"])


@pytest.mark.parametrize("other", OTHER)
@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_anything_else_behind_it_sends_both(first: bytes, other: bytes) -> None:
    """In their order, untouched; and then the second alone is nothing."""
    if other[-1:] not in (b"\x1b", b"["):
        assert (first + other + b"d", False) == typed([first + other + b"d"])
    assert (first + other + b"d", False) == typed([first, other, b"d"])
    assert (first + LET_GO[0] + other, False) == typed([first + LET_GO[0], other])


def test_a_paste_is_never_a_key() -> None:
    """However it is cut; and behind it the keys count again."""
    paste = b"\x1b[200~ls \x1fd\x1b[47;5ud\x1b[20\x1b[201\x1b[201~"
    for place in range(len(paste)):
        assert (paste, True) == typed([paste[:place], paste[place:], b"\x1fd"])
    assert (paste, True) == typed([*(paste[i : i + 1] for i in range(len(paste))), b"\x1f", b"d"])


@pytest.mark.parametrize("lone", [b"\x1b", b"\x1b[", b"\x1b[A", b"\x1b\x1b", b"a"])
def test_a_key_is_not_kept_waiting(lone: bytes) -> None:
    """Esc works at once."""
    assert (lone, False) == keys().feed(lone)


@given(st.lists(st.sampled_from(OTHER), max_size=8), st.lists(st.integers(0, 300), max_size=8))
def test_what_is_not_the_key_goes_on_byte_for_byte(parts: list[bytes], places: list[int]) -> None:
    """Whatever it is cut into. Nothing is left behind by what follows."""
    data = b"".join(parts)
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    out, detached = typed([*(data[a:b] for a, b in pairwise(edges)), b"\x1b[200~\x1b[201~."])
    assert (data + b"\x1b[200~\x1b[201~.", False) == (out, detached)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_any_bytes_may_be_typed(data: bytes, places: list[int]) -> None:
    """Without the first key none are lost, but for the beginning of a sequence at the end."""
    data = data.replace(b"\x1f", b"")
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    out, detached = typed(data[a:b] for a, b in pairwise(edges))
    assert not detached
    assert data.startswith(out)
    assert data[len(out) :] == b"" or data[len(out) :].startswith(b"\x1b[")


def test_what_is_held_is_little() -> None:
    """A sequence without end is typed by nobody, and kept by nobody."""
    detach = keys()
    out = b"".join(detach.feed(b"\x1b[" + b"1" * 100)[0] for _ in range(1000))
    assert len(out) > 100_000
    for _ in range(1000):
        detach.feed(LET_GO[0])
    assert len(detach._held) + sum(map(len, detach._armed)) < 300


@pytest.mark.parametrize(
    ("text", "typed_keys"),
    [
        ("ctrl-p ctrl-q", b"\x10\x11"),
        ("ctrl-] q", b"\x1dq"),
        ("CTRL-A D", b"\x01D"),
        ("ctrl-\\ .", b"\x1c."),
        ("ctrl-p ctrl-q", b"\x1b[112;5u\x1b[113;5u"),
    ],
)
def test_other_keys_can_be_chosen(text: str, typed_keys: bytes) -> None:
    """The usual ones mean nothing then."""
    assert (b"\x1fd", True) == typed([b"\x1fd", typed_keys], keys(text))


def test_none_switches_it_off() -> None:
    """Everything goes on."""
    assert (b"\x1fd\x1fd", False) == typed([b"\x1fd", b"\x1fd"], keys("none"))


@pytest.mark.parametrize(
    "text",
    ["", "ctrl-/", "d", "a d", "ctrl-/ d e", "ctrl-é d", "ctrl- d", "ctrl-/ dd", "ctrl-i d",
     "ctrl-m d", "alt-x d", "ctrl-a ctrl-a", "ctrl-1 d"],
)  # fmt: skip
def test_nonsense_is_refused(text: str) -> None:
    """With what would be right."""
    with pytest.raises(UsageError) as caught:
        parse_detach_keys(text)
    assert "ctrl-/ d" in str(caught.value.hint)
