"""Questions go to the attached client one at a time, and no output while one is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moat.run import control
from moat.run.audience import Audience, Seat
from moat.run.putting import BY, Putter
from run.asked import Run, play, settled


class Put:
    """A run whose questions are put to a client, which is this test."""

    def __init__(self, place: Path) -> None:
        self.run = Run(place / "decisions.jsonl")
        self.said: list[tuple[bytes, dict[str, Any]]] = []
        audience = Audience(None)
        self.seat = Seat(self, drives=True)  # type: ignore[arg-type]  # a client that hears
        audience.join(self.seat)
        self.putter = Putter("0123456789", "fix", audience)
        self.putter.begin(self.run.asker)

    def send_nowait(self, data: bytes) -> None:
        """Hear what comes to the client."""
        self.said += [(kind, json.loads(text)) for kind, text in control.Deframer().feed(data)]

    def answer(self, number: int, action: str = "allow", extent: str = "once") -> None:
        """Answer as a client does."""
        said = {"id": number, "action": action, "extent": extent}
        self.putter.hear(json.dumps(said).encode())

    def heard(self) -> list[tuple[bytes, int]]:
        """What came to the client since: kinds and numbers of questions."""
        found = [(kind, said["id"]) for kind, said in self.said]
        self.said.clear()
        return found

    def may_print(self) -> bool:
        """Whether output would be passed on now."""
        waits = self.putter.wait_clear()
        try:
            waits.send(None)
        except StopIteration:
            return True
        waits.close()
        return False


@pytest.fixture
def put(tmp_path: Path) -> Callable[[], Put]:
    return lambda: Put(tmp_path)


Make = Callable[[], Put]
Q, U = control.QUESTION, control.WITHDRAWN


def test_one_after_the_other(put: Make) -> None:
    """The next comes with the answer to the one before; output only when none is left."""

    async def story() -> None:
        client = put()
        assert client.may_print()
        tasks = client.run.starts("a.test"), client.run.starts("b.test")
        await settled()
        (kind, said) = client.said[0]
        assert (Q, "fix", "0123456789", "https://a.test/", 60.0) == (
            kind,
            said["name"],
            said["run"],
            said["url"],
            said["timeout"],
        )
        assert [(Q, 1)] == client.heard()
        assert not client.may_print()
        client.answer(1)
        assert [(Q, 2)] == client.heard()
        assert not client.may_print()
        client.answer(2, "deny", "run")
        assert [] == client.heard()
        assert client.may_print()
        assert [True, False] == await settled(*tasks)
        assert {BY} == {by for *_, by in client.run.written()}

    play(story)


def test_output_waits_though_the_next_question_comes_at_once(put: Make) -> None:
    """Who waited to print is woken, and looks again: between two questions there is no gap."""

    async def story() -> None:
        client = put()
        first = client.run.starts("a.test")
        await settled()
        printing = asyncio.create_task(client.putter.wait_clear())
        await settled()
        client.answer(1)
        # In the same turn of the loop, before anybody who was woken has one.
        second = client.run.decide("b.test")
        second.send(None)  # type: ignore[attr-defined]
        assert [(Q, 1), (Q, 2)] == client.heard()
        assert [True] == await settled(first)
        assert not printing.done()
        client.answer(2)
        await asyncio.wait_for(printing, 5)
        second.close()  # type: ignore[attr-defined]

    play(story)


def test_what_was_answered_elsewhere_is_withdrawn(put: Make) -> None:
    """By another command, by its client going away, by time: the next one takes its place."""

    async def story() -> None:
        client = put()
        tasks = [client.run.starts(host) for host in ("a.test", "b.test", "c.test")]
        await settled()
        client.run.do("allow", "a.test")
        await settled()
        assert [(Q, 1), (U, 1), (Q, 2)] == client.heard()
        tasks[1].cancel()
        await settled()
        assert [(U, 2), (Q, 3)] == client.heard()
        client.answer(2)  # it was on its way
        assert not client.may_print()
        client.run.asker.refuse_the_rest("me")
        await settled()
        assert [(U, 3)] == client.heard()
        assert client.may_print()
        assert [True, False] == await settled(tasks[0], tasks[2])

    play(story)


def test_what_a_client_leaves_to_others_goes_on_waiting(put: Make) -> None:
    """It is not put again, and does not hold output back; others are put all the same."""

    async def story() -> None:
        client = put()
        first = client.run.starts("a.test")
        await settled()
        client.answer(1, "later")
        assert client.may_print()
        assert [None] == await settled(first)
        second = client.run.starts("b.test")
        await settled()
        assert [(Q, 1), (Q, 2)] == client.heard()
        client.answer(2, "deny")
        client.run.asker.answer(1, "allow", "once", "me")
        assert [True, False] == await settled(first, second)

    play(story)


def test_the_rest_can_be_refused(put: Make) -> None:
    """With the one that is put and all others."""

    async def story() -> None:
        client = put()
        tasks = client.run.starts("a.test"), client.run.starts("b.test")
        await settled()
        client.answer(1, "deny", "rest")
        assert [False, False] == await settled(*tasks)
        assert [(Q, 1)] == client.heard()
        assert client.may_print()

    play(story)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{}",
        b'{"id": 1}',
        b'{"id": 1, "action": "allow"}',
        b'{"id": 1, "action": "yes", "extent": "once"}',
        b'{"id": 1, "action": "allow", "extent": "ever"}',
        b'{"id": "x", "action": "allow", "extent": "once"}',
    ],
)
def test_nonsense_is_no_answer(put: Make, said: bytes) -> None:
    """It raises what the listener takes for a client that cannot be understood."""

    async def story() -> None:
        client = put()
        task = client.run.starts("a.test")
        await settled()
        with pytest.raises((ValueError, KeyError)):
            client.putter.hear(said)
        assert [None] == await settled(task)
        task.cancel()

    play(story)


def test_an_answer_that_cannot_be_written_down_does_not_count(put: Make) -> None:
    """Nothing is let through, and the question is not put over and over."""

    async def story() -> None:
        client = put()
        client.run.file.mkdir()
        task = client.run.starts("a.test")
        await settled()
        client.answer(1)
        assert [None] == await settled(task)
        assert [(Q, 1)] == client.heard()
        assert client.may_print()
        task.cancel()

    play(story)
