"""A transcript is read from its end, since a moment, and as it grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.ledger import transcript_read
from moat.ledger.transcript import CAST, LOG, TIMES, Transcript
from moat.ledger.transcript_read import CastReading, LogReading, open_transcript

Write = Callable[..., None]
SIZES = {"pipes": None, "terminal": (24, 80)}


@contextmanager
def reading(root: Path) -> Iterator[LogReading | CastReading]:
    found = open_transcript(root)
    assert found is not None
    with closing(found):
        yield found


def everything(root: Path, **start: float | int | None) -> bytes:
    with reading(root) as read:
        read.start(**start)  # type: ignore[arg-type]
        return b"".join(iter(read.read, b""))


@pytest.fixture(params=SIZES.values(), ids=SIZES)
def write(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a text at so many seconds from the beginning, which is at 1000."""
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("time.time", lambda: 1000.0 + now)
    transcript = Transcript(tmp_path, terminal=request.param, title="x")

    def written(text: bytes, at: float = 0) -> None:
        nonlocal now
        now = at
        transcript.write(text)

    yield written
    transcript.close()


def test_where_nothing_was_begun_there_is_nothing(tmp_path: Path) -> None:
    """Of a run that did not get so far."""
    assert open_transcript(tmp_path) is None


@pytest.mark.parametrize(
    ("lines", "last"),
    [
        (None, b"one\ntwo\nthree\nrest"),
        (0, b""),
        (1, b"rest"),
        (2, b"three\nrest"),
        (3, b"two\nthree\nrest"),
        (4, b"one\ntwo\nthree\nrest"),
        (9, b"one\ntwo\nthree\nrest"),
    ],
)
def test_the_last_lines(write: Write, tmp_path: Path, lines: int | None, last: bytes) -> None:
    """What follows the last line feed is a line as well."""
    for piece in (b"one\ntw", b"o\n", b"three\nre", b"st"):
        write(piece)
    assert last == everything(tmp_path, lines=lines)


def test_a_line_feed_at_the_end_ends_a_line(write: Write, tmp_path: Path) -> None:
    """And begins none."""
    for piece in (b"one\n", b"two", b"\n"):
        write(piece)
    assert b"two\n" == everything(tmp_path, lines=1)
    assert b"" == everything(tmp_path, lines=0)
    assert b"one\ntwo\n" == everything(tmp_path, lines=2)


@given(
    st.lists(st.sampled_from(["\n", "a", "b\n", "c\nd", "\n\n", "é" * 9, "x" * 30]), max_size=30),
    st.integers(0, 12),
    st.sampled_from([1, 3, 7, 64]),
)
@pytest.mark.parametrize("terminal", SIZES.values(), ids=SIZES)
def test_tail_means_tail(
    tmp_path_factory: pytest.TempPathFactory,
    terminal: tuple[int, int] | None,
    pieces: list[str],
    lines: int,
    block: int,
) -> None:
    """Of any text, read in blocks of any size."""
    root = tmp_path_factory.mktemp("transcript")
    transcript = Transcript(root, terminal=terminal, title="x")
    for piece in pieces:
        transcript.write(piece.encode())
    transcript.close()
    text = "".join(pieces)
    split = text.split("\n")
    all_lines = [line + "\n" for line in split[:-1]] + ([split[-1]] if split[-1] else [])
    expected = all_lines[max(0, len(all_lines) - lines) :] if lines else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transcript_read, "_BLOCK", block)
        assert "".join(expected) == everything(root, lines=lines).decode()


def test_the_end_of_a_large_one_is_found_without_reading_it(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few blocks from the end will do."""
    for number in range(20_000):
        write(b"line %d is one of many\n" % number)
    blocks = 0
    backwards = transcript_read._blocks_backwards

    def counted(*where: object) -> object:
        nonlocal blocks
        for block in backwards(*where):  # type: ignore[arg-type]
            blocks += 1
            yield block

    monkeypatch.setattr(transcript_read, "_blocks_backwards", counted)
    expected = b"".join(b"line %d is one of many\n" % number for number in range(19_997, 20_000))
    assert expected == everything(tmp_path, lines=3)
    assert 1 == blocks


def test_since_a_moment(write: Write, tmp_path: Path) -> None:
    """To within a second or so, and what was printed before is not."""
    for seconds in (0, 10, 20, 30):
        write(b"at %d\n" % seconds, at=seconds)
    assert b"at 20\nat 30\n" == everything(tmp_path, since=1015)
    assert b"at 20\nat 30\n" == everything(tmp_path, since=1020)
    assert b"at 30\n" == everything(tmp_path, since=1029)
    assert b"" == everything(tmp_path, since=1040)
    assert b"at 0\nat 10\nat 20\nat 30\n" == everything(tmp_path, since=0)
    assert b"at 30\n" == everything(tmp_path, since=1015, lines=1)
    assert b"at 30\n" == everything(tmp_path, since=1029, lines=3)


def test_it_is_followed(write: Write, tmp_path: Path) -> None:
    """What comes is read once, and when it has come."""
    write(b"one\n")
    with reading(tmp_path) as read:
        read.start(lines=0)
        assert b"" == read.read()
        write(b"two")
        assert b"two" == read.read()
        assert b"" == read.read()
        write(b" three\n")
        write(b"four\n")
        assert b" three\nfour\n" == read.read()


def test_a_line_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    """And one that is no event; what is whole is read, from either end."""
    (tmp_path / CAST).write_bytes(
        b'{"version": 2, "width": 80, "height": 24, "timestamp": 5}\n'
        b'[0.5, "o", "one\\n"]\nnothing\n[1, "x", "?"]\n[]\n[1.5, "o", "two\\n"]\n[2, "o", "thr'
    )
    assert b"one\ntwo\n" == everything(tmp_path)
    assert b"two\n" == everything(tmp_path, lines=1)
    with reading(tmp_path) as read, (tmp_path / CAST).open("ab") as file:
        assert b"one\ntwo\n" == read.read()
        file.write(b'ee"]\n')
        file.flush()
        assert b"three" == read.read()


def test_events_and_header_are_read(tmp_path: Path) -> None:
    """For who plays it."""
    transcript = Transcript(tmp_path, terminal=(30, 100), title="x")
    transcript.write(b"one")
    transcript.resize(24, 80)
    transcript.close()
    with closing(CastReading(tmp_path)) as read:
        header = read.header()
        assert header is not None
        assert (30, 100) == (header.rows, header.columns)
        events = [(event.kind, event.text) for event in read.events()]
        assert [("o", "one"), ("r", "80x24")] == events
        (tmp_path / CAST).write_bytes(b"[1]\n")
        assert read.header() is None


def test_pipes_without_times_are_read_whole(tmp_path: Path) -> None:
    """As written before there were any."""
    (tmp_path / LOG).write_bytes(b"one\n")
    assert not (tmp_path / TIMES).exists()
    assert b"one\n" == everything(tmp_path, since=1e12)
