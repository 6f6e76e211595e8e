"""The transcript holds what was printed, byte for byte."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from moat.errors import RecordError
from moat.ledger.transcript import Transcript


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_what_is_printed_is_appended(tmp_path: Path, umask: int) -> None:
    """Every byte, in its order, at once; in a file of ours alone."""
    file = tmp_path / "transcript.log"
    before = os.umask(umask)
    try:
        transcript = Transcript(file)
    finally:
        os.umask(before)
    transcript.write(b"one\x00\xff")
    assert b"one\x00\xff" == file.read_bytes()
    transcript.write(b"")
    transcript.write(b"two")
    transcript.close()
    assert b"one\x00\xfftwo" == file.read_bytes()
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    """Opening it again goes on at the end."""
    file = tmp_path / "transcript.log"
    for text in (b"first ", b"second"):
        transcript = Transcript(file)
        transcript.write(text)
        transcript.close()
    assert b"first second" == file.read_bytes()


def test_a_full_disk_is_told() -> None:
    """What cannot be written is an error that names file and cure."""
    transcript = Transcript(Path("/dev/full"))
    with pytest.raises(RecordError, match="/dev/full: No space left") as caught:
        transcript.write(b"x")
    assert "df -h" in str(caught.value.hint)
    transcript.close()


def test_a_transcript_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """No directory, no transcript, and no run without one."""
    with pytest.raises(RecordError, match="cannot be written"):
        Transcript(tmp_path / "none" / "transcript.log")
