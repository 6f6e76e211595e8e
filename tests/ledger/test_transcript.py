"""The transcript holds what was printed: for pipes byte for byte, for a terminal as asciicast."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moat.errors import RecordError
from moat.ledger import transcript
from moat.ledger.transcript import CAST, LOG, TIMES, Transcript

SIZE = (24, 80)


def cast(root: Path) -> tuple[dict[str, Any], list[Any]]:
    """Header and events, read as the format says: UTF-8, a JSON text a line."""
    header, *events = (root / CAST).read_text(encoding="utf-8").splitlines()
    return json.loads(header), [json.loads(event) for event in events]


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_what_pipes_print_is_appended(tmp_path: Path, umask: int) -> None:
    """Every byte, in its order, at once; in files of ours alone."""
    before = os.umask(umask)
    try:
        transcript = Transcript(tmp_path, terminal=None, title="x")
    finally:
        os.umask(before)
    transcript.write(b"one\x00\xff")
    assert b"one\x00\xff" == (tmp_path / LOG).read_bytes()
    transcript.write(b"")
    transcript.resize(1, 2)
    transcript.write(b"two")
    transcript.close()
    assert b"one\x00\xfftwo" == (tmp_path / LOG).read_bytes()
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}


def test_when_it_was_printed_is_noted_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each second that something came in, and none for others."""
    clock = 100.0
    monkeypatch.setattr("time.monotonic", lambda: clock)
    transcript = Transcript(tmp_path, terminal=None, title="x")
    for passed in (0.0, 0.1, 0.2, 1.5, 0.1, 100.0):
        clock += passed
        transcript.write(b"12345")
    transcript.write(b"")
    lines = (tmp_path / TIMES).read_text().splitlines()
    times, offsets = zip(*(line.split() for line in lines), strict=True)
    assert ("0", "15", "25") == offsets
    assert pytest.approx([1.8, 101.9]) == [float(time) - float(times[0]) for time in times[1:]]
    transcript.close()


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    """Opening it again goes on at the end."""
    for terminal in (None, SIZE):
        for text in (b"first ", b"second"):
            transcript = Transcript(tmp_path, terminal=terminal, title="x")
            transcript.write(text)
            transcript.close()
    assert b"first second" == (tmp_path / LOG).read_bytes()
    assert ["first ", "second"] == [event[2] for event in cast(tmp_path)[1]]


def test_a_terminal_is_an_asciicast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the format of version 2 says: the header's members, and three of each event."""
    monkeypatch.setenv("TERM", "xterm-256color")
    transcript = Transcript(tmp_path, terminal=(24, 80), title='moat run -- "é"')
    transcript.write(b"\x1b[31mred\x1b[m\r\n")
    transcript.resize(30, 100)
    transcript.write("日".encode())
    transcript.close()
    header, events = cast(tmp_path)
    assert isinstance(header.pop("timestamp"), int)
    assert header == {
        "version": 2,
        "width": 80,
        "height": 24,
        "title": 'moat run -- "é"',
        "env": {"TERM": "xterm-256color"},
    }
    assert [event[1:] for event in events] == [
        ["o", "\x1b[31mred\x1b[m\r\n"],
        ["r", "100x30"],
        ["o", "日"],
    ]
    times = [event[0] for event in events]
    assert times == sorted(times)
    assert all(isinstance(time, float) and 0 <= time < 60 for time in times)
    assert not (tmp_path / LOG).exists()


def test_characters_stay_whole_and_bytes_that_are_none_are_shown_as_such(tmp_path: Path) -> None:
    """Split anywhere; and what never becomes one, to the last."""
    transcript = Transcript(tmp_path, terminal=SIZE, title="x")
    text = "a日本🙂é"
    for byte in text.encode() + b"\xff\xc3(" + b"\xf0\x9f":
        transcript.write(bytes([byte]))
    transcript.close()
    raw = (tmp_path / CAST).read_bytes()
    assert raw.decode(errors="strict")
    assert [*text, "\ufffd", "\ufffd(", "\ufffd"] == [event[2] for event in cast(tmp_path)[1]]


def test_no_text_breaks_the_lines(tmp_path: Path) -> None:
    """Whatever a line could end with, in the one or the other reading, is within the JSON."""
    transcript = Transcript(tmp_path, terminal=SIZE, title="x\ny")
    transcript.write('a\nb\r\x0b\x0c\x1c\x85\u2028\u2029"\\\x00'.encode())
    transcript.close()
    lines = (tmp_path / CAST).read_bytes().split(b"\n")
    assert 3 == len(lines)
    assert b"" == lines[2]
    assert 'a\nb\r\x0b\x0c\x1c\x85\u2028\u2029"\\\x00' == json.loads(lines[1])[2]


_KILLED = """
import os, signal, sys
from pathlib import Path
from moat.ledger import transcript
from moat.ledger.transcript import Transcript
transcript = Transcript(Path(sys.argv[1]), terminal=(24, 80), title="x")
for number in range(100):
    transcript.write(b"line %d\\r\\n" % number)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_who_is_killed_has_written_it_all(tmp_path: Path) -> None:
    """Nothing waits in a buffer."""
    subprocess.run([sys.executable, "-c", _KILLED, tmp_path], check=False)
    assert 100 == len(cast(tmp_path)[1])


@pytest.mark.parametrize(("terminal", "name"), [(None, LOG), (SIZE, CAST)])
def test_a_full_disk_is_told(tmp_path: Path, terminal: tuple[int, int] | None, name: str) -> None:
    """What cannot be written is an error that names file and cure."""
    (tmp_path / name).symlink_to("/dev/full")
    told = re.escape(f"{tmp_path / name}: No space left")
    with pytest.raises(RecordError, match=told) as caught:
        Transcript(tmp_path, terminal=terminal, title="x").write(b"x")
    assert "df -h" in str(caught.value.hint)


@pytest.mark.parametrize("terminal", [None, SIZE])
def test_a_transcript_that_cannot_be_made_is_told(
    tmp_path: Path, terminal: tuple[int, int] | None
) -> None:
    """No directory, no transcript, and no run without one."""
    with pytest.raises(RecordError, match="cannot be written"):
        Transcript(tmp_path / "none", terminal=terminal, title="x")


@pytest.mark.parametrize("terminal", [None, (24, 80)])
def test_it_is_full_at_some_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: tuple[int, int] | None
) -> None:
    """A program that prints without end does not fill the disk, and the end says so, once."""
    monkeypatch.setattr(transcript, "MOST", 5000)
    kept = transcript.Transcript(tmp_path, terminal=terminal)
    for _ in range(100):
        kept.write(b"x" * 1000)
        kept.resize(30, 100)
    kept.close()
    (file,) = (file for file in tmp_path.iterdir() if file.name != transcript.TIMES)
    content = file.read_bytes()
    assert 4000 <= len(content) < 6000
    assert 1 == content.count(b"it is full")
