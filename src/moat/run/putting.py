"""Puts the questions of a run to the client that is attached to it, one at a time.

While one is put, nothing of the box goes to the client: what the agent prints can neither cover
the question nor make the terminal answer it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import get_args

from moat import log
from moat.engine.rules import Action
from moat.errors import MoatError
from moat.run import control
from moat.run.asking import Asker
from moat.run.audience import Audience, Seat
from moat.run.commands import as_data
from moat.run.deciding import Extent, Question

BY = "the terminal of the run"


class Putter:
    """Keeps whoever drives a run asking whatever there is to ask."""

    def __init__(self, run: str, name: str | None, audience: Audience) -> None:
        self._clear = asyncio.Event()
        self._clear.set()
        self._run, self._name = run, name
        self._audience = audience
        self._asker: Asker | None = None
        self._put: tuple[int, Seat] | None = None  # the number of a question, and who has it
        self._left: set[int] = set()  # of those a client has left to others

    def begin(self, asker: Asker) -> None:
        """Ask what this asker wants to know."""
        self._asker = asker
        asker.watch(self.look)

    def left(self, seat: Seat) -> None:
        """Somebody has left; what they were asked waits for the next, or for a command."""
        if self._put is not None and self._put[1] is seat:
            self._put = None
        self.look()

    async def wait_clear(self) -> None:
        """Wait until output may be passed on to the client."""
        while not self._clear.is_set():  # the next question may come as soon as it was set
            await self._clear.wait()

    def look(self) -> None:
        """See what there is to ask now, and whom."""
        questions = self._asker.questions() if self._asker is not None else []
        numbers = {question.id for question in questions}
        self._left &= numbers
        if self._put is not None and self._put[0] not in numbers:
            number, seat = self._put
            seat.tell(control.message(control.WITHDRAWN, id=number))
            self._put = None
        if self._put is None:
            self._put_next(question for question in questions if question.id not in self._left)
        if self._put is None:
            self._clear.set()
        else:
            self._clear.clear()

    def _put_next(self, questions: Iterator[Question]) -> None:
        driver = self._audience.driver
        if driver is None or self._asker is None or (question := next(questions, None)) is None:
            return
        self._put = question.id, driver
        driver.tell(
            control.message(
                control.QUESTION,
                run=self._run,
                name=self._name,
                timeout=self._asker.timeout,
                **as_data(question),
            )
        )

    def hear(self, payload: bytes) -> None:
        """What the client answers. Raises ValueError or KeyError for what is no answer."""
        said = json.loads(payload)
        number, action = int(said["id"]), said["action"]
        if self._put is None or self._asker is None or number != self._put[0]:
            return  # it was withdrawn while the answer was on its way
        self._put = None
        try:
            if action == "later":
                self._left.add(number)
            elif said["extent"] == "rest":
                self._asker.refuse_the_rest(BY)
            elif action in get_args(Action) and said["extent"] in get_args(Extent):
                self._asker.answer(number, action, said["extent"], BY)
            else:
                raise ValueError(f"no answer: {action!r}")
        except MoatError as error:  # it cannot be written down, so it cannot be taken
            log.get(__name__).error("an answer does not count: %s", error)
            self._left.add(number)
        self.look()
