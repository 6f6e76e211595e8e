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
        self.commands = Commands("0123456789", self.run.asker, {})

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


@pytest.mark.parametrize("action", ["allow", "deny"])
def test_a_group_is_allowed_and_denied(tmp_path: Path, action: str) -> None:
    """All of its hosts at once, with one line of what was decided; a denial is of every port."""

    async def story() -> None:
        told = Told(tmp_path)
        tasks = told.run.starts("a.test"), told.run.starts("x.b.test:81"), told.run.starts("c.test")
        await settled()
        hosts = ["a.test", "*.b.test:81"]
        assert 2 == told(action, host="@ours", group="ours", hosts=hosts)["settled"]
        allowed = action == "allow"
        assert [allowed, allowed, None] == await settled(*tasks)
        tasks[2].cancel()
        other_port = told.run.verdict("a.test:99")
        assert ("ask" if allowed else "deny") == other_port.action
        assert [(action, "@ours", "run", "me")] == told.run.written()
        assert {"said during the run, @ours"} == {rule.origin for rule in told.run.rules}

    play(story)


def test_some_requests_are_allowed(tmp_path: Path) -> None:
    """As a line about them says; of a host, and of a group."""

    async def story() -> None:
        told = Told(tmp_path, mode="strict")
        told("allow", host="a.test", line="GET /x/**")
        told("allow", host="@ours", group="ours", hosts=["b.test"], line="* /y")
        assert told.run.verdict("a.test", "/x/1").allowed
        assert not told.run.verdict("a.test", "/y").allowed
        assert told.run.verdict("b.test", "/y", "PUT").allowed
        assert ["a.test GET /x/**", "@ours * /y"] == [s for _, s, _, _ in told.run.written()]

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
        ({"do": "allow", "extent": "run", "host": "a", "by": "x", "line": "/x"}, "a METHOD or *"),
        ({"do": "allow", "extent": "run", "host": "a", "by": "x", "line": 7}, "no line"),
        ({"do": "allow", "extent": "run", "by": "x", "group": "g"}, "no hosts of the group"),
        (
            {"do": "allow", "extent": "run", "by": "x", "group": "g", "hosts": []},
            "no hosts of the group",
        ),
        ({"do": "allow", "extent": "run", "by": "x", "group": "g", "hosts": [7]}, "no host"),
        ({"do": "deny", "extent": "run", "by": "x", "group": "g", "hosts": ["*"]}, "a star stands"),
        (
            {"do": "allow", "extent": "once", "by": "x", "group": "g", "hosts": ["a.test"]},
            "not for one request",
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
