"""What happened to a run, a line each."""

from __future__ import annotations

import json
import os
from pathlib import Path

from moat.ledger.events import Events, read_events


def test_what_was_added_is_read(tmp_path: Path) -> None:
    """In its order, with its facts and its time; nobody else can read the file."""
    file = tmp_path / "events.jsonl"
    events = Events(file, "dc1eh6tndp")
    events.add("created")
    events.add("stopped", exit_code=3, text='a "line"\nand another')
    first, second = read_events(file)
    assert ("created", "dc1eh6tndp") == (first["event"], first["run"])
    assert (3, 'a "line"\nand another') == (second["exit_code"], second["text"])
    assert first["time"] <= second["time"]
    assert 0o600 == file.stat().st_mode & 0o777
    assert 2 == len(file.read_text().splitlines())


def test_a_line_that_was_cut_is_passed_over(tmp_path: Path) -> None:
    """As the last of a full disk is, and what is no event."""
    file = tmp_path / "events.jsonl"
    Events(file, "r").add("created")
    with file.open("a") as out:
        out.write('[1]\n{"time": 1, "ev')
    assert ["created"] == [event["event"] for event in read_events(file)]
    assert [] == read_events(tmp_path / "none")


def test_what_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    """A run does not fail for it; and no link is followed."""
    Events(tmp_path / "none" / "events.jsonl", "r").add("created")
    target = tmp_path / "target"
    target.touch()
    (tmp_path / "link").symlink_to(target)
    Events(tmp_path / "link", "r").add("created")
    assert b"" == target.read_bytes()


def test_several_write_at_once(tmp_path: Path) -> None:
    """Each line is whole."""
    file = tmp_path / "events.jsonl"
    children = []
    for number in range(4):
        if (child := os.fork()) == 0:
            try:
                for _ in range(200):
                    Events(file, str(number)).add("happened", text="x" * 500)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert 800 == len(read_events(file))
    assert 800 == len([json.loads(line) for line in file.read_text().splitlines()])
