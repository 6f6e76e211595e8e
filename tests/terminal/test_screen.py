"""The emulated screen is what a terminal shows: where it is, and after it was restored."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moat.terminal.box_terminal import BoxTerminal
from moat.terminal.filter import Filter
from moat.terminal.grid import Grid
from moat.terminal.restore import restore
from moat.terminal.screen import Screen
from moat.terminal.style import PLAIN


def screen(*printed: bytes, rows: int = 4, columns: int = 10) -> Screen:
    shown = Screen(rows, columns)
    for piece in printed:
        shown.feed(piece)
    shown.settle()
    return shown


def rows(shown: Screen, grid: Grid | None = None) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in (grid or shown.grid).lines]


@pytest.mark.parametrize(
    ("printed", "expected", "cursor"),
    [
        (b"ab\r\ncd", ["ab", "cd", "", ""], (2, 3)),
        (b"ab\ncd", ["ab", "  cd", "", ""], (2, 5)),
        (b"0123456789", ["0123456789", "", "", ""], (1, 10)),
        (b"0123456789a", ["0123456789", "a", "", ""], (2, 2)),
        (b"0123456789\r\na", ["0123456789", "a", "", ""], (2, 2)),
        (b"0123456789\ba", ["01234567a9", "", "", ""], (1, 10)),
        (b"\x1b[?7l0123456789ab", ["012345678b", "", "", ""], (1, 10)),
        (b"a\r\nb\r\nc\r\nd\r\ne", ["b", "c", "d", "e"], (4, 2)),
        ("日本語日本語".encode(), ["日本語日本", "語", "", ""], (2, 3)),
        ("123456789日".encode(), ["123456789", "日", "", ""], (2, 3)),
        ("日本\x1b[1;2Hx".encode(), [" x本", "", "", ""], (1, 3)),
        ("日本\x1b[1;3Hx".encode(), ["日x", "", "", ""], (1, 4)),
        ("e\u0301x".encode(), ["e\u0301x", "", "", ""], (1, 3)),
        (b"\x1b[2;3Hab\x1b[1;1Hc", ["c", "  ab", "", ""], (1, 2)),
        (b"abc\x1b[1;2H\x1b[K", ["a", "", "", ""], (1, 2)),
        (b"abc\x1b[1;2H\x1b[1K", ["  c", "", "", ""], (1, 2)),
        (b"abc\x1b[1;2H\x1b[2K", ["", "", "", ""], (1, 2)),
        (b"a\r\nb\r\nc\x1b[2;1H\x1b[J", ["a", "", "", ""], (2, 1)),
        (b"a\r\nb\r\nc\x1b[2;1H\x1b[1J", ["", "", "c", ""], (2, 1)),
        (b"a\r\nb\r\nc\x1b[2J", ["", "", "", ""], (3, 2)),
        (b"abcdef\x1b[1;2H\x1b[2P", ["adef", "", "", ""], (1, 2)),
        (b"abcdef\x1b[1;2H\x1b[2@", ["a  bcdef", "", "", ""], (1, 2)),
        (b"abcdef\x1b[1;2H\x1b[2X", ["a  def", "", "", ""], (1, 2)),
        (b"abcdef\x1b[1;2H\x1b[4hXY", ["aXYbcdef", "", "", ""], (1, 4)),
        (b"a\r\nb\r\nc\r\nd\x1b[2;1H\x1b[L", ["a", "", "b", "c"], (2, 1)),
        (b"a\r\nb\r\nc\r\nd\x1b[2;1H\x1b[M", ["a", "c", "d", ""], (2, 1)),
        (b"a\r\nb\r\nc\r\nd\x1b[S", ["b", "c", "d", ""], (4, 2)),
        (b"a\r\nb\r\nc\r\nd\x1b[2T", ["", "", "a", "b"], (4, 2)),
        (b"a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[3;1H\n", ["a", "c", "", "d"], (3, 1)),
        (b"a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[2;1H\x1bM", ["a", "", "b", "d"], (2, 1)),
        (b"a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[4;1H\n", ["a", "b", "c", "d"], (4, 1)),
        (b"a\x1b[5b", ["aaaaaa", "", "", ""], (1, 7)),
        (b"a\tb", ["a       b", "", "", ""], (1, 10)),
        (b"\x1b[3g\x1b[1;4H\x1bH\r\tx", ["   x", "", "", ""], (1, 5)),
        (b"\x1b[1;10H\x1b[Zx", ["        x", "", "", ""], (1, 10)),
        (b"\x1b(0lqk\x1b(Bq", ["┌─┐q", "", "", ""], (1, 5)),
        (b"\x1b)0\x0eq\x0fq", ["─q", "", "", ""], (1, 3)),
        (b"a\x1b7\x1b[3;3Hb\x1b8c", ["ac", "", "  b", ""], (1, 3)),
        (b"a\x1b[s\x1b[3;3Hb\x1b[uc", ["ac", "", "  b", ""], (1, 3)),
        (b"\x1b#8", ["E" * 10] * 4, (1, 1)),
        (b"abc\x1bc", ["", "", "", ""], (1, 1)),
        (b"\x1b[99;99Hx", ["", "", "", "         x"], (4, 10)),
        (b"a\x1b[Bb\x1b[2Dc\x1b[Ad", ["ad", "cb", "", ""], (1, 3)),
        (b"x\x1b[2Ey\x1b[Fz", ["x", "z", "y", ""], (2, 2)),
    ],
)
def test_what_is_written_is_where_a_terminal_has_it(
    printed: bytes, expected: list[str], cursor: tuple[int, int]
) -> None:
    """Whole, or a token at a time."""
    shown = screen(printed)
    assert (expected, cursor) == (rows(shown), shown.cursor)
    kept, again = Filter(), Screen(4, 10)
    for byte in printed:
        again.feed(kept.feed(bytes([byte])).shown)
        again.settle()
    assert (expected, cursor) == (rows(again), again.cursor)


def test_programs_have_a_screen_of_their_own() -> None:
    """The usual one is there again when they leave it."""
    shown = screen(b"shell\r\n$ ", b"\x1b[?1049h\x1b[Hvim")
    assert ["vim", "", "", ""] == rows(shown)
    shown.feed(b"\x1b[?1049l:")
    shown.settle()
    assert ["shell", "$ :", "", ""] == rows(shown)


def test_another_size_keeps_what_fits() -> None:
    """And the cursor in its line; what is above goes first when it must."""
    shown = screen(b"a\r\nb\r\nc\r\nlong line")
    shown.resize(2, 4)
    assert ["c", "long"] == rows(shown)
    assert (2, 4) == shown.cursor
    shown.resize(4, 10)
    assert ["c", "long", "", ""] == rows(shown)
    shown = screen(b"a\r\nb")
    shown.resize(3, 12)
    assert ["a", "b", ""] == rows(shown)


def test_what_scrolls_by_need_not_be_written() -> None:
    """Of many lines at once the last are seen, as if all had been written one by one."""
    lines = [b"%d%s" % (n, b"x" * (n % 25)) for n in range(500)]
    text = b"first\r\n\x1b[1m" + b"\r\n".join(lines)
    one_by_one = screen(*(text[i : i + 1] for i in range(12, len(text))))
    at_once = screen(text)
    assert rows(one_by_one) == rows(at_once)
    assert one_by_one.cursor == at_once.cursor


def test_what_waits_is_little_and_can_be_worked_off() -> None:
    """However much is fed."""
    shown = Screen(24, 80)
    for number in range(2000):
        shown.feed(b"\x1b[%dm%d" % (number % 50, number) * 20)
        assert shown._length <= 8 << 10
    while shown.work(1000):
        pass
    assert 0 == shown._length == len(shown._waiting)


STATES = [
    b"",
    b"plain\r\ntext",
    b"\x1b[1;2;3;4;5;7;9m\x1b[38;5;208m\x1b[48;2;1;2;3mall\x1b[0;58;5;9;4:3mwavy\x1b[m",
    b"\x1b[44mblue\x1b[K\r\nbehind\x1b[J\x1b[91;102m",
    "日本語 e\u0301 🙂".encode(),
    b"0123456789",
    b"\x1b[31m012345678\x1b[7m9",
    "12345678日".encode(),
    b"\x1b[2;3r\x1b[?6h\x1b[2;2Hx",
    b"shell\x1b[?1049h\x1b[3;3Happ\x1b7\x1b[1;1H",
    b"\x1b[5;5H\x1b[33m\x1b[?1049happ",
    b"\x1b[?6h\x1b[?1049h\x1b[?6l\x1b7app",
    b"\x1b(0lqk",
    b"\x1b)0\x0elqk\x1b7\x0f\x1b)B",
    b"\x1b[?25l\x1b[?1h\x1b=\x1b[?2004h\x1b[?1002;1006h\x1b[?1004h\x1b[4 q\x1b[?5h",
    b"\x1b[>7u\x1b[?1049h\x1b[>3u\x1b[>5u\x1b[=1;2u\x1b[>4;2m",
    b"\x1b]0;the title\x07",
    b"\x1b[22;0t\x1b]0;of less\x07\x1b[22;2t\x1b]2;of vim\x07",
    b"\x1b[3g\x1b[1;3H\x1bH\x1b[2;2H",
    b"\x1b[?7l0123456789",
    b"\x1b[4hab",
    b"\x1b[2;9Hx\x1b7\x1b[H\x1b[32m",
    b"\x1b#8\x1b[2;2H\x1b[K",
]


def state(shown: Screen) -> tuple[object, ...]:
    sides = [
        (side.grid.lines, side.saved, side.keyboards)
        for side in (shown.main, shown.other if shown.side is shown.other else shown.main)
    ]
    grid = shown.grid
    return (
        sides, shown.cursor, grid.wraps, grid.top, grid.bottom, shown.side is shown.main,
        shown.style, shown.alphabets, shown.shifted, shown.inserts, shown.keypad,
        shown.modes - {2026}, shown.other_keys, shown.shape, shown.title, shown.titles, shown.tabs,
    )  # fmt: skip


@pytest.mark.parametrize("before", [b"", b"\x1b[?6h\x1b[2;3r\x1b(0\x1b[4h\x1b[7mgarbage\x1b[2;2H"])
@pytest.mark.parametrize("printed", STATES)
def test_restored_it_is_the_same(printed: bytes, before: bytes) -> None:
    """Cells, cursor, margins, alphabets, modes, title: all there is, and it can be filtered."""
    shown = screen(printed)
    written = restore(shown)
    assert state(shown) == state(screen(before, written))
    without_cancel = written.removeprefix(b"\x18\x1b\\")
    assert without_cancel == Filter().feed(without_cancel).shown


tokens = st.sampled_from(
    [*STATES, b"\r\n", b"\n", b"\t", b"\x08", b"a", b"text ", "日".encode(), "é".encode(),
     "\u0301".encode(), b"\x1b[A", b"\x1b[2B", b"\x1b[3C", b"\x1b[D", b"\x1b[H", b"\x1b[2;9H",
     b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?1047l", b"\x1b[?47h", b"\x1b[P", b"\x1b[2@", b"\x1b[X",
     b"\x1b[L", b"\x1b[2M", b"\x1b[S", b"\x1b[T", b"\x1bM", b"\x1bD", b"\x1b[J", b"\x1b[1J",
     b"\x1b[K", b"\x1b[1K", b"\x1b[2;3r", b"\x1b[r", b"\x1b[?6l", b"\x1b[?7h", b"\x1b[4l", b"\x1b8",
     b"\x1b7", b"\x1b[!p", b"\x1bc", b"\x1b[9b", b"\x1b[I", b"\x1b[2Z", b"\x1b[0m", b"\x1b(B",
     b"\x1b[<9u", b"\x1b[>1u", b"\x1b[22;0t", b"\x1b[23;0t", b"\x1b[23;1t", b"\x1b[?2026h"]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(tokens, max_size=30), st.tuples(st.integers(1, 6), st.integers(1, 12)))
def test_whatever_was_written_can_be_restored(printed: list[bytes], size: tuple[int, int]) -> None:
    """Of any size, the rows are as wide as the screen, and restoring makes them again."""
    shown = Screen(*size)
    for piece in printed:
        shown.feed(piece)
    again = Screen(*size)
    again.feed(restore(shown))
    again.settle()
    for grid in (shown.main.grid, shown.other.grid):
        assert [size[1]] * size[0] == [len(line) for line in grid.lines]
    expected, restored = state(shown), state(again)
    if size[1] > 2:  # on a narrower one a wide character and the edge leave no room to be exact
        assert expected == restored


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        tokens | st.binary(max_size=20) | st.from_regex(rb"\x1b\[[0-9;:?>]*[@-~]"), max_size=9
    ),
    st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_no_input_makes_it_fail(printed: list[bytes], size: tuple[int, int]) -> None:
    """Nor any size; it can still be restored, and undone."""
    terminal = BoxTerminal(3, 7, at=(9, 9))
    for piece in printed:
        terminal.feed(piece)
    terminal.resize(*size)
    terminal.feed(b"".join(printed))
    terminal.restore()
    terminal.undo()


@pytest.mark.attack
@pytest.mark.parametrize(
    "clearing",
    [b"\x1bc", b"\x1b[2J", b"\x1b[44m\x1b[2J", b"\x1b[J", b"\x1b[300;1H\x1b[1J", b"\x1b#8",
     b"\x1b[999S", b"\x1b[999T", b"\x1b[999L", b"\x1b[999M", b"\x1b[?1049h",
     b"\x1b[?1047h\x1b[?1047l", b"\n" * 999, b"\x1b[300;1H" + b"\x1bM" * 999],
)  # fmt: skip
def test_what_clears_a_screen_does_not_touch_its_cells(clearing: bytes) -> None:
    """However large it is: what is empty is a row or two, seen many times, so that it costs no
    more than rows are. A program can ask for it again and again, two bytes a time."""
    shown = Screen(300, 300)
    shown.feed(b"\x1b[H" + clearing)
    shown.settle()
    for grid in (shown.main.grid, shown.other.grid):
        assert len({id(line) for line in grid.lines}) <= 3
        assert [300] * 300 == [len(line) for line in grid.lines]


def test_what_is_written_in_one_row_is_in_no_other() -> None:
    """Of those that were blank together; by whatever writes in a row, or changes its width."""
    for written in ("x", "日", "ab\x1b[1;1H\x1b[@", "\x1b[41m\x1b[K", "\x1b[41m\x1b[2X",
                    "\x1b[41m\x1b[P", "\x1b[4hx", "\x1b[1;2H\u0301"):  # fmt: skip
        shown = screen(b"\x1b[2J\x1b[H", written.encode())
        assert [[(" ", PLAIN)] * 10] * 3 == shown.grid.lines[1:]
        assert [(" ", PLAIN)] * 10 != shown.grid.lines[0]
    shown.resize(6, 4)
    shown.feed(b"\x1b[5;1Hx")
    shown.settle()
    assert [4] * 6 == [len(line) for line in shown.grid.lines]
    assert "x" == "".join(text for line in shown.grid.lines[2:] for text, _ in line).strip()


@pytest.mark.attack
def test_nothing_makes_it_grow() -> None:
    """What is saved, pushed, set and combined has an end."""
    shown = screen(
        b"\x1b[>1u" * 10_000,
        b"\x1b7" * 10_000,
        b"a" + "\u0301".encode() * 10_000,
        b"\x1b]0;" + b"t" * 5000 + b"\x07",
        rows=3,
        columns=5,
    )
    assert len(restore(shown)) < 3000
    assert shown.rows <= Screen(10**9, 10**9).rows <= 1000
