"""A row is in the database after the next commit, or everybody hears that it is not."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from moat.errors import RecordError
from moat.ledger.db import COLUMNS, Row, Writer
from moat.ledger.trace import read_trace

WRITING = """
import sys, time
from pathlib import Path
from moat.ledger.db import Writer
sys.path.insert(0, sys.argv[2])
from test_db import as_it_is, put, row
writer = Writer(Path(sys.argv[1]), as_it_is)
for number in range(50):
    put(writer, row(number))
print("put", flush=True)
time.sleep(20)
"""

LIMITED = """
import resource, signal, sys, time
from pathlib import Path
from moat.errors import RecordError
from moat.ledger.db import Writer
sys.path.insert(0, sys.argv[2])
from test_db import as_it_is, put, row
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = Writer(Path(sys.argv[1]), as_it_is)
put(writer, row(0))
time.sleep(0.3)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
refused = 0
for number in range(1, 200):
    try:
        put(writer, row(number, url="https://a.example/" + "x" * 2000))
    except RecordError as error:
        refused += 1
        first = str(error)
    time.sleep(0.002)
for number in range(3):
    try:
        put(writer, row(900 + number))
    except RecordError:
        refused += 1000
try:
    writer.close()
except RecordError as error:
    print(refused, "|", error, "|", error.hint)
"""


def row(number: int, **changes: object) -> Row:
    values: dict[str, object] = dict.fromkeys(COLUMNS)
    values |= {
        "number": number, "started": 1.0, "method": "GET", "url": "https://a.example/",
        "host": "a.example", "outcome": "open", "grants": "", "bytes_up": 0, "bytes_down": 0,
    }  # fmt: skip
    return tuple((values | changes)[name] for name in COLUMNS)


def as_it_is(number: int, said: Row) -> Row:
    assert number == said[0]
    return said


def put(writer: Writer, said: Row) -> None:
    writer.put(int(str(said[0])), said)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "trace.db"


def wait_until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_what_was_put_is_there_after_closing(file: Path) -> None:
    """Closing writes everything that was put, in the order of its numbers."""
    writer = Writer(file, as_it_is)
    for number in (2, 1, 3):
        put(writer, row(number))
    writer.close()
    assert [1, 2, 3] == [exchange["number"] for exchange in read_trace(file)]


def test_the_last_of_a_number_stands(file: Path) -> None:
    """A later row replaces an earlier one, in the same commit and in another."""
    writer = Writer(file, as_it_is)
    put(writer, row(1, outcome="open"))
    put(writer, row(1, outcome="forwarded", status=200))
    put(writer, row(2, outcome="open"))
    wait_until(lambda: len(read_trace(file)) == 2)
    assert ["forwarded", "open"] == [exchange["outcome"] for exchange in read_trace(file)]
    put(writer, row(2, outcome="failed"))
    writer.close()
    assert ["forwarded", "failed"] == [exchange["outcome"] for exchange in read_trace(file)]


def test_putting_does_not_wait_for_the_disk(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`put` returns while a commit is under way; what gathered meanwhile is one commit."""
    go, commits = threading.Event(), []
    commit = Writer._commit

    def slow(self: Writer, rows: object) -> None:
        kept = list(rows)  # type: ignore[call-overload]
        commits.append(len(kept))
        go.wait(20)
        commit(self, kept)

    monkeypatch.setattr(Writer, "_commit", slow)
    writer = Writer(file, as_it_is)
    put(writer, row(0))
    wait_until(lambda: commits == [1])
    for number in range(1, 101):
        put(writer, row(number))
    go.set()
    writer.close()
    assert [1, 100] == commits[:2]
    assert 101 == len(read_trace(file))


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_record_is_ours_alone(file: Path, umask: int) -> None:
    """The database and what SQLite puts beside it are 0600, whatever the umask."""
    before = os.umask(umask)
    try:
        writer = Writer(file, as_it_is)
        put(writer, row(1))
        wait_until(lambda: len(read_trace(file)) == 1)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
        writer.close()
    finally:
        os.umask(before)
    assert {0o600} == modes


def test_somebody_may_read_while_it_is_written(file: Path) -> None:
    """A reader sees whole commits, waits for nobody and hinders nobody."""
    writer = Writer(file, as_it_is)
    seen: list[int] = []
    for number in range(200):
        put(writer, row(number))
        if number % 20 == 0:
            seen.append(len(read_trace(file)))
            time.sleep(0.01)
    writer.close()
    assert 200 == len(read_trace(file))
    assert sorted(seen) == seen


def test_a_killed_writer_leaves_what_it_committed(file: Path) -> None:
    """After kill -9 the trace is read up to the last commit, and can be read again."""
    command = [sys.executable, "-c", WRITING, str(file), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "put\n" == process.stdout.readline()
        wait_until(lambda: len(read_trace(file)) == 50)
        process.send_signal(signal.SIGKILL)
    for _ in range(2):
        assert list(range(50)) == [exchange["number"] for exchange in read_trace(file)]


def test_once_a_write_failed_nothing_goes_on(file: Path) -> None:
    """With no room left every later put is refused, and closing says so: with the real reason."""
    command = [sys.executable, "-c", LIMITED, str(file), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "" == done.stderr
    refused, message, hint = done.stdout.split(" | ")
    assert int(refused) > 3000
    assert "cannot be written" in message
    assert any(reason in message for reason in ("full", "I/O error"))
    assert "df -h" in hint
    assert 0 == read_trace(file)[0]["number"]


@pytest.mark.parametrize("bad", [{"url": "\ud800"}, {"bytes_up": 2**64}, {"bytes_up": object()}])
def test_a_row_that_cannot_be_written_is_a_failure_too(file: Path, bad: dict[str, object]) -> None:
    """Whatever stops a row, it is told like a full disk, and the writer does not die of it."""
    writer = Writer(file, as_it_is)
    put(writer, row(1, **bad))
    wait_until(lambda: writer._failure is not None)
    for action in (lambda: put(writer, row(2)), writer.close):
        with pytest.raises(RecordError, match="cannot be written"):
            action()


def test_the_first_failure_is_what_is_told(file: Path) -> None:
    """Not what went wrong while clearing up after it."""
    writer = Writer(file, as_it_is)
    put(writer, row(1, url="\ud800"))
    wait_until(lambda: writer._failure is not None)
    with pytest.raises(RecordError, match="surrogates not allowed"):
        writer.close()


def test_a_closed_record_takes_nothing(file: Path) -> None:
    """What comes too late is refused, not lost in silence."""
    writer = Writer(file, as_it_is)
    put(writer, row(1))
    writer.close()
    with pytest.raises(RecordError, match="is closed"):
        put(writer, row(2))
    assert 1 == len(read_trace(file))


def test_a_record_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """No directory, or something else in its place, is a refusal at once."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("this is no database, and long enough to be seen as none" * 99)
    for name in ("none/trace.db", "folder", "text"):
        with pytest.raises(RecordError, match="cannot be written"):
            Writer(tmp_path / name, as_it_is)


# reading


def test_no_trace_is_an_empty_one(file: Path) -> None:
    """A run that came to no record has an empty trace, and reading makes no file."""
    assert [] == read_trace(file)
    assert not file.exists()
    file.touch()
    assert [] == read_trace(file)


@pytest.mark.parametrize("change", ["garbage", "PRAGMA user_version = 99", "DROP TABLE exchange"])
def test_a_trace_that_cannot_be_read_is_told(file: Path, change: str) -> None:
    """Damage, and what a newer Moat wrote, are told; nothing is made up."""
    Writer(file, as_it_is).close()
    if change == "garbage":
        file.write_bytes(os.urandom(4096))
    else:
        database = sqlite3.connect(file)
        database.execute(change)
        database.commit()
        database.close()
    with pytest.raises(RecordError, match=f"the trace {file}"):
        read_trace(file)


def test_a_trace_with_an_odd_path_is_read(tmp_path: Path) -> None:
    """The path of a database is no place for `?` and `#` to mean something."""
    file = tmp_path / "a?mode=rw#b%20 é.db"
    writer = Writer(file, as_it_is)
    put(writer, row(1))
    writer.close()
    assert 1 == len(read_trace(file))
