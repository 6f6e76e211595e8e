"""A person's terminal is told nothing by a program but what is known to be harmless."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moat.terminal.filter import Filter
from terminal.hostile import HOSTILE, assert_harmless

HARMLESS = [
    b"plain text\n\twith tabs\r\n\x07\x08\x0b\x0c\x0e\x0f",
    "é 日本 🙂 — “quotes” Û\u203a\n".encode(),
    b"\x1b[31mred\x1b[0m \x1b[1;38;5;208mbold\x1b[m \x1b[4:3mwavy\x1b[38:2::1:2:3m\x1b[39;49m",
    b"\x1b[2J\x1b[H\x1b[3;4H\x1b[5A\x1b[K\x1b[1J\x1b[2L\x1b[M\x1b[P\x1b[4@\x1b[9X\x1b[2S\x1b[T\x1b[3b",
    b"\x1b[2;20r\x1b[s\x1b[u\x1b7\x1b8\x1bM\x1bD\x1bE\x1bH\x1b[3g\x1b[I\x1b[Z\x1b=\x1b>\x1b[!p",
    b"\x1b[?1049h\x1b[?25l\x1b[?1000;1002;1003;1006h\x1b[?2004h\x1b[?1004h\x1b[?2026h\x1b[?1h\x1b[?7l",
    b"\x1b[>7u\x1b[>1u\x1b[=5;1u\x1b[<2u\x1b[>2u\x1b[<u\x1b[>4;2m\x1b[>4m\x1b[>4n\x1b[5 q\x1b[ q",
    b"\x1b(0lqqk\x1b(B\x1b)0\x1b#8\x1b[4h\x1b[4l\x1b[22;0;0t\x1b[23;0t",
    b"\x1b]0;a title\x07\x1b]2;another \xc3\xa9\x1b\\",
    b"\x1b]8;;https://example.com/a?b=c\x1b\\link\x1b]8;;\x1b\\\x1b]8;id=a1;http://a\x07x\x1b]8;;\x07",
    b"\x1b]133;A\x07\x1b]133;D;1\x1b\\\x1b]133;A;k=i;aid=7\x07",
]  # fmt: skip


def passed(pieces: Iterable[bytes]) -> bytes:
    kept = Filter()
    return b"".join(kept.feed(piece).shown for piece in pieces)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("printed", HARMLESS)
def test_what_draws_passes_untouched(printed: bytes) -> None:
    """At once, byte for byte, and in any pieces; the tests' own idea of harmless agrees."""
    assert_harmless(printed)
    assert printed == Filter().feed(printed).shown
    assert printed == passed(printed[i : i + 1] for i in range(len(printed)))


@pytest.mark.attack
@pytest.mark.parametrize("name", HOSTILE)
def test_what_acts_is_taken_out(name: str) -> None:
    """And nothing else; whole, in any two pieces, or byte by byte; what was taken out is told."""
    hostile = HOSTILE[name]
    whole = Filter().feed(b"before " + hostile + b"\x1b[1m after")
    if "link" in name:
        assert b"before \x1b]8;;\x07\x1b[1m after" == whole.shown
        return
    if name != "tmux":
        assert b"before \x1b[1m after" == whole.shown
        assert [(7, hostile)] == list(whole.taken_out)
    assert_harmless(whole.shown)
    for place in range(len(hostile)):
        assert whole.shown == passed(cut(b"before " + hostile + b"\x1b[1m after", [place + 7]))
    assert_harmless(passed(hostile[i : i + 1] for i in range(len(hostile))))


@pytest.mark.attack
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("first", [b"\xc2\x9b", b"\x9b", b"\xc0\x9b", b"\xe0\x82\x9b", b"\xc2\x9d"])
def test_eight_bit_controls_do_not_get_around(name: str, first: bytes) -> None:
    """As bytes, in UTF-8, and in overlong UTF-8 of either kind of escape."""
    hostile = HOSTILE[name]
    for spelled in (
        hostile.replace(b"\x1b[", first),
        hostile.replace(b"\x1b]", b"\xc2\x9d"),
        hostile.replace(b"\x1b]", b"\x9d"),
        hostile.replace(b"\x1b", b"\xc0\x9b"),
        hostile.replace(b"\x1b", b"\xe0\x80\x9b"),
        hostile.replace(b"\x1b\\", b"\xc2\x9c"),
    ):
        if spelled != hostile:
            assert_harmless(passed([b"before ", spelled, b" after\x1b\\"]))


def test_what_breaks_a_sequence_off_is_read_anew() -> None:
    """As a terminal does: escape, cancel and substitute; and text goes on where it begins."""
    assert b"\x1b[1mz" == passed([b"\x1b[3\x1b[1mz"])
    assert b"after" == passed([b"\x1b]0;title\x18after"])
    assert b"after" == passed([b"\x1b[3\x18after"])
    assert b"\x1b[31mb" == passed([b"\x1b]0;title\x1b[31mb"])
    assert b"after" == passed([b"\x1bP never \x1a", b"after"])
    assert b"a\nm" == passed([b"a\x1b[3\nm"])


def test_titles_pass_without_controls_and_not_without_end() -> None:
    """What a title is made of is text, and little."""
    assert b"\x1b]0;ab\x07" == passed([b"\x1b]0;a\x01\x0d\xc2\x9bb\x07"])
    title = passed([b"\x1b]2;", b"x" * 3000, b"\x07"])
    assert title == b"\x1b]2;" + b"x" * 256 + b"\x07"


def test_of_modes_in_one_sequence_the_harmless_pass() -> None:
    """The others are as if they had not been named."""
    assert b"\x1b[?1000;25h" == passed([b"\x1b[?1000;2048;25;52h"])
    assert b"\x1b[?25l" == passed([b"\x1b[?25;;3l"])


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"\x1b[000001;2r", b"\x1b[1;2r"),
        (b"\x1b[20r\x1b[;5r", b"\x1b[20r\x1b[;5r"),
        (b"\x1b[1;2;3r", b""),
        (b"\x1b[99999999r", b"\x1b[9999r"),
        (b"x\x1b[999999999999b", b"x\x1b[9999b"),
        (b"\x1b[1;999999999999H", b"\x1b[1;9999H"),
        (b"\x1b[?0025l\x1b[?000047h", b"\x1b[?25l\x1b[?1049h"),
        (b"\x1b[?1047;1h\x1b[?47l", b"\x1b[?1049;1h\x1b[?1049l"),
        (b"\x1b[04h\x1b[4;20h\x1b[4:1h", b"\x1b[4h"),
        (b"\x1b[005 q\x1b[1;2 q", b"\x1b[5 q"),
        (b"\x1b[5;9s\x1b[1u", b""),
    ],
)
def test_what_changes_a_mode_passes_in_one_spelling(printed: bytes, shown: bytes) -> None:
    """So that no terminal reads it in another way than who undoes it."""
    assert shown == passed([printed])


@pytest.mark.attack
@pytest.mark.parametrize(
    "erasing", [b"\x1b[3J", b"\x1b[0003J", b"\x1b[?3J", b"\x1b[22J", b"\x1b[2;3J"]
)
def test_what_has_scrolled_by_is_not_erased(erasing: bytes) -> None:
    """Nothing brings it back. What clears a screen (as `clear` does, with all three) still does."""
    assert b"\x1b[H\x1b[2J" == passed([b"\x1b[H\x1b[2J" + erasing])


@pytest.mark.attack
def test_a_full_reset_leaves_what_has_scrolled_by() -> None:
    """What the program has switched on is off, and the screen empty, as after one."""
    plain = b"\x1b[m\x1b(B\x1b)B\x0f\x1b>\x1b[H\x1b[2J"
    assert plain == passed([b"\x1bc"])
    on = b"\x1b[?1049h\x1b[>1u\x1b[?1000h\x1b[2;3r\x1b[4h"
    off = b"\x1b[<1u\x1b[4l\x1b[?1000l\x1b[?1049l\x1b7\x1b[r\x1b8"
    assert on + off + plain + plain == passed([on, b"\x1bc\x1bc"])


@pytest.mark.attack
@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"\x1b[<99999u\x1b[<u\x1b[<0u", b""),
        (b"\x1b[>1u\x1b[>3u\x1b[<99999u\x1b[<u", b"\x1b[>1u\x1b[>3u\x1b[<2u"),
        (b"\x1b[>1u\x1b[<0u\x1b[<u", b"\x1b[>1u\x1b[<1u"),
        (b"\x1b[>1u\x1b[?1049h\x1b[<u\x1b[>2u", b"\x1b[>1u\x1b[?1049h\x1b[>2u"),
        (b"\x1b[=5u\x1b[=2;2u\x1b[<9u", b"\x1b[>5u\x1b[=2;2u\x1b[<1u"),
        (b"\x1b[>1u" * 4 + b"\x1b[>7u" * 9, b"\x1b[>1u" * 4 + b"\x1b[=7u" * 9),
        (b"\x1b[23t\x1b[23;0t\x1b[23;2t", b""),
        (b"\x1b[22;2t\x1b[23;1t\x1b[23;2t\x1b[23;2t", b"\x1b[22;2t\x1b[23;2t"),
        (b"\x1b[22;0t\x1b[23;2t\x1b[23;0;5t\x1b[23t", b"\x1b[22;0t\x1b[23t"),
        (b"\x1b[22t" * 99 + b"\x1b[23t" * 99, b"\x1b[22t" * 6 + b"\x1b[23t" * 6),
    ],
)
def test_only_what_a_run_has_put_there_is_taken_back(printed: bytes, shown: bytes) -> None:
    """What lies below, of whoever was there before, is neither fetched nor pushed out."""
    assert shown == passed([printed])


def test_ordinary_text_is_not_held_back() -> None:
    """Nor what comes before a sequence, or a character, that has only begun."""
    kept = Filter()
    assert b"text" == kept.feed(b"text").shown
    assert b"more" == kept.feed(b"more\x1b[3").shown
    assert b"\x1b[31mred" == kept.feed(b"1mred\xe2\x82").shown
    assert "€".encode() == kept.feed(b"\xac").shown
    assert "\ufffd".encode() + b"x" == kept.feed(b"\xe2\x82x").shown[-4:]


@pytest.mark.attack
@pytest.mark.parametrize("begun", [b"\x1b]0;", b"\x1bP", b"\x1b_", b"\x1b[", b"\x1b(", b"\x1b"])
def test_a_string_without_end_neither_fills_the_memory_nor_stops_the_output(begun: bytes) -> None:
    """After a while what comes is text again, and it is filtered as any."""
    kept = Filter()
    kept.feed(begun)
    for _ in range(80):
        assert_harmless(kept.feed(b"1" * (1 << 14)).shown)
        assert len(kept._held) + len(kept._string or b"") < 10_000
    shown = kept.feed(b"text\x1b[6n").shown
    assert shown.endswith(b"text")


pieces = st.sampled_from(
    [*HOSTILE.values(), *HARMLESS, b"\x1b", b"[", b"]", b"P", b"\\", b"\x07", b"?", b"6n", b"52;c;",
     b"\x9b", b"\x9d", b"\xc2", b"\xc2\x9b", b"\xe0", b"\x80", b"\xf0\x9f", b"\x18", b"\x1a", b";",
     b"$", b" ", b">", b"0", b"a", b"\x00", b"\n", b"\xff", b"\x1b]8;;http://a b\x07"]
)  # fmt: skip


@given(st.lists(pieces | st.binary(max_size=4), max_size=12), st.lists(st.integers(0, 400)))
@example([b"\x1b[", b"\x1b", b"[", b"6n"], [])
def test_no_pieces_make_more_than_is_harmless(parts: list[bytes], places: list[int]) -> None:
    """However they fall together and are cut; twice filtered is once filtered."""
    printed = b"".join(parts)
    shown = passed([printed])
    assert_harmless(shown)
    assert shown == passed(cut(printed, places))
    assert shown == passed([shown])


def test_what_was_taken_out_is_told_in_its_place() -> None:
    """So that a question can be answered as of where it stood."""
    filtered = Filter().feed(b"ab\x1b[6n\x1b[1mc\x1b]11;?\x07\x00\x01d")
    assert b"ab\x1b[1mcd" == filtered.shown
    told = [(2, b"\x1b[6n"), (7, b"\x1b]11;?\x07"), (7, b"\x00\x01")]
    assert told == list(filtered.taken_out)


def test_noise_is_text() -> None:
    """Of random bytes nothing acts either."""
    noise = random.Random(5).randbytes(200_000)
    assert_harmless(passed(cut(noise, range(0, 200_000, 777))))
