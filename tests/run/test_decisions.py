"""What was decided stands in the run's directory, a line each, and in its log."""

from __future__ import annotations

import json
import logging
import stat
import time
from pathlib import Path

import pytest

from moat.errors import RecordError
from moat.run.decisions import Decisions


def test_decisions_are_appended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In their order, in a file that is the owner's alone."""
    file = tmp_path / "decisions.jsonl"
    decisions = Decisions(file)
    assert not file.exists()
    with caplog.at_level(logging.INFO, "moat"):
        decisions.write("allow", "a.test", "run", "moat allow")
        decisions.write("deny", "b.test\n", "once", "me", more=1)
    first, second = map(json.loads, file.read_text().splitlines())
    assert abs(time.time() - first.pop("time")) < 60
    assert {"action": "allow", "subject": "a.test", "extent": "run", "by": "moat allow"} == first
    assert ("deny", "b.test\n", 1) == (second["action"], second["subject"], second["more"])
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert "allow a.test (run), said by moat allow" == caplog.messages[0]


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A full disk, a link that somebody put there, a directory that is gone."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for file in (Path("/dev/full"), tmp_path / "link", tmp_path / "gone" / "x"):
        with pytest.raises(RecordError, match="cannot be written down"):
            Decisions(file).write("allow", "a.test", "run", "me")
    assert not (tmp_path / "elsewhere").exists()
