import io
import os
import pty

import pytest

from moat.tools.progress import (
    LogProgress,
    Silent,
    TerminalProgress,
    measured,
    megabytes,
    progress_on,
)

MB = 1_000_000


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_measure_reads_as_a_sentence():
    assert measured("codex-cli 0.1", 83 * MB, 167 * MB) == "codex-cli 0.1: 83 of 167 MB"


def test_no_more_is_shown_than_there_is():
    """Totals are hints; 168 of 167 would only look broken."""
    assert measured("x", 168 * MB, 167 * MB) == "x: 167 of 167 MB"


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, 1), (499_999, 1), (83_400_000, 83)])
def test_megabytes_never_round_something_to_nothing(count, shown):
    assert shown == megabytes(count)


def test_a_terminal_line_is_redrawn_and_ended(clock):
    stream = io.StringIO()
    progress = TerminalProgress(stream, clock=clock)
    for clock.now, done in enumerate([100, 5, 167]):
        progress.measure("x", done * MB, 167 * MB)
    progress.end()
    assert stream.getvalue() == "\rx: 100 of 167 MB\rx: 5 of 167 MB  \rx: 167 of 167 MB\n"


def test_a_terminal_line_is_not_redrawn_faster_than_an_eye_sees_nor_for_nothing(clock):
    stream = io.StringIO()
    progress = TerminalProgress(stream, clock=clock)
    for clock.now, done in [(0, 1), (0.01, 2), (0.02, 3), (1, 3), (2, 3)]:
        progress.measure("x", done * MB, 9 * MB)
    assert stream.getvalue() == "\rx: 1 of 9 MB\rx: 3 of 9 MB"


def test_a_sentence_does_not_land_in_the_terminal_line(clock):
    stream = io.StringIO()
    progress = TerminalProgress(stream, clock=clock)
    progress.measure("x", 1 * MB, 9 * MB)
    progress.say("unpacking")
    progress.end()
    assert stream.getvalue() == "\rx: 1 of 9 MB\nunpacking\n"


def test_a_log_gets_a_line_at_each_quarter(clock):
    stream = io.StringIO()
    progress = LogProgress(stream, clock=clock)
    for done in range(101):
        progress.measure("x", done * MB, 100 * MB)
    lines = ["x: 25 of 100 MB", "x: 50 of 100 MB", "x: 75 of 100 MB", "x: 100 of 100 MB"]
    assert lines == stream.getvalue().splitlines()


def test_a_log_gets_a_line_every_five_seconds_when_a_quarter_takes_long(clock):
    stream = io.StringIO()
    progress = LogProgress(stream, clock=clock)
    for clock.now in range(12):
        progress.measure("x", clock.now * MB, 1000 * MB)
    assert stream.getvalue().splitlines() == ["x: 5 of 1000 MB", "x: 10 of 1000 MB"]


def test_a_log_says_nothing_twice(clock):
    stream = io.StringIO()
    progress = LogProgress(stream, clock=clock)
    for clock.now in range(60):
        progress.measure("x", 1000 * MB, 1000 * MB)
    assert stream.getvalue().splitlines() == ["x: 1000 of 1000 MB"]


def test_a_log_has_whole_lines_and_no_carriage_return(clock):
    stream = io.StringIO()
    progress = LogProgress(stream, clock=clock)
    progress.measure("x", 9 * MB, 9 * MB)
    progress.say("unpacking")
    progress.end()
    assert stream.getvalue() == "x: 9 of 9 MB\nunpacking\n"


def test_a_terminal_is_redrawn_and_anything_else_is_a_log():
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        assert isinstance(progress_on(terminal), TerminalProgress)
    os.close(master)
    assert isinstance(progress_on(io.StringIO()), LogProgress)


@pytest.mark.parametrize("kind", [TerminalProgress, LogProgress])
def test_a_stream_nobody_reads_any_more_stops_nothing(kind):
    read, write = os.pipe()
    os.close(read)
    raw = io.FileIO(write, "w")
    with io.TextIOWrapper(raw, write_through=True) as stream:
        progress = kind(stream)
        progress.say("hello")
        progress.measure("x", MB, MB)
        progress.end()


def test_silence_is_a_progress_too(capsys):
    progress = Silent()
    progress.say("hello")
    progress.measure("x", 1, 2)
    progress.end()
    assert capsys.readouterr() == ("", "")
