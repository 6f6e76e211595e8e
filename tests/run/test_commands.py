"""What a run is told changes what it may do, and only what can be understood is done."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from moat.errors import MoatError
from moat.run.commands import Commands
from run.asked import Run, play, settled


class Told:
    """A run that takes commands."""

    def __init__(self, place: Path, *rules: str, **options: Any) -> None:
        self.run = Run(place / "decisions.jsonl", *rules, **options)
        self.commands = Commands("0123456789", self.run.asker)

    def __call__(self, do: str, **more: Any) -> dict[str, Any]:
        """Tell it something; what came back through JSON, as it does from a socket."""
        reply = self.commands.obey({"do": do, "by": "me", "extent": "run"} | more)
        assert "0123456789" == reply["run"]
        back: dict[str, Any] = json.loads(json.dumps(reply))
        return back


def test_what_waits_is_told(tmp_path: Path) -> None:
    """Every question with all that a person or a program needs to answer it."""

    async def story() -> None:
        told = Told(tmp_path)
        assert [] == told("questions")["questions"]
        tasks = (
            told.run.starts("a.test", "/x"),
            told.run.starts("a.test"),
            told.run.starts("b.test:81"),
        )
        await settled()
        reply = told("questions")
        assert 60.0 == reply["timeout"]
        assert {
            "id": 1,
            "destination": "https://a.test",
            "host": "a.test",
            "inside": False,
            "method": "GET",
            "url": "https://a.test/x",
            "waiting": 2,
        } == reply["questions"][0]
        assert [1, 3] == [question["id"] for question in reply["questions"]]
        assert 1 == told("answer", id=1, action="allow", extent="once")["question"]["id"]
        assert [True, None, None] == await settled(*tasks)
        told("refuse the rest")
        assert [True, False, False] == await settled(*tasks)

    play(story)


@pytest.mark.parametrize("extent", ["once", "run", "always"])
def test_a_host_is_allowed_and_denied(tmp_path: Path, extent: str) -> None:
    """As it was typed, and as far as it was said; how many that settled is told."""

    async def story() -> None:
        told = Told(tmp_path)
        task = told.run.starts("x.a.test:8443")
        await settled()
        assert 1 == told("allow", host="*.A.test:8443", extent=extent)["settled"]
        assert [True] == await settled(task)
        denied = told.run.starts("b.test:99")
        await settled()
        assert 1 == told("deny", host="b.test", extent=extent)["settled"]
        assert [False] == await settled(denied)
        again = told.run.starts("b.test")
        assert [None if extent == "once" else False] == await settled(again)
        again.cancel()

    play(story)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ({}, "does not know that command"),
        ({"do": "stop"}, "does not know that command"),
        ({"do": ["allow"]}, "does not know that command"),
        ({"do": "allow"}, "no extent"),
        ({"do": "allow", "extent": "run", "by": "x"}, "no host"),
        ({"do": "allow", "extent": "run", "host": "a.test"}, "no by"),
        ({"do": "allow", "extent": "run", "host": 7, "by": "x"}, "no host"),
        ({"do": "allow", "extent": "run", "host": "a" * 301, "by": "x"}, "no host"),
        ({"do": "allow", "extent": "run", "host": "127.1", "by": "x"}, "odd spelling"),
        ({"do": "allow", "extent": "run", "host": "*", "by": "x"}, "a star stands only in front"),
        (
            {"do": "deny", "extent": "ever", "host": "a.test", "by": "x"},
            "one of: once, run, always",
        ),
        ({"do": "answer"}, "number of the question"),
        ({"do": "answer", "id": "1"}, "number of the question"),
        ({"do": "answer", "id": 1, "action": "ask", "extent": "run", "by": "x"}, "one of: allow"),
        ({"do": "answer", "id": 1, "action": "allow", "extent": "run", "by": "x"}, "no question 1"),
        ({"do": "refuse the rest"}, "no by"),
    ],
)
def test_what_cannot_be_understood_changes_nothing(
    tmp_path: Path, command: dict[str, Any], why: str
) -> None:
    """It is an error that says what is missing."""

    async def story() -> None:
        told = Told(tmp_path)
        before = told.run.session
        with pytest.raises(MoatError, match=re.escape(why)):
            told.commands.obey(command)
        assert before is told.run.session
        assert [] == told.run.written()

    play(story)
