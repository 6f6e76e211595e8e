"""Puts the questions of a run to the client that is attached to it, one at a time.

While one is put, nothing of the box goes to the client: what the agent prints can neither cover
the question nor make the terminal answer it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import get_args

from moat import log
from moat.engine.rules import Action
from moat.errors import MoatError
from moat.run import control
from moat.run.asking import Asker
from moat.run.commands import as_data
from moat.run.deciding import Extent, Question

BY = "the terminal of the run"


class Putter:
    """Keeps an attached client asking whatever there is to ask.

    `say` sends a frame to the client at once.
    """

    def __init__(self, run: str, name: str | None, asker: Asker, say: Callable[[bytes], None]):
        self._clear = asyncio.Event()
        self._clear.set()
        self._run, self._name = run, name
        self._asker = asker
        self._say = say
        self._put: int | None = None  # the number of the question the client has
        self._left: set[int] = set()  # of those the client has left to others
        asker.watch(self._look)

    async def wait_clear(self) -> None:
        """Wait until output may be passed on to the client."""
        while not self._clear.is_set():  # the next question may come as soon as it was set
            await self._clear.wait()

    def _look(self) -> None:
        """See what there is to ask now."""
        questions = self._asker.questions()
        numbers = {question.id for question in questions}
        self._left &= numbers
        if self._put is not None and self._put not in numbers:
            self._say(control.message(control.WITHDRAWN, id=self._put))
            self._put = None
        if self._put is None:
            self._put_next(question for question in questions if question.id not in self._left)
        if self._put is None:
            self._clear.set()
        else:
            self._clear.clear()

    def _put_next(self, questions: Iterator[Question]) -> None:
        if (question := next(questions, None)) is None:
            return
        self._put = question.id
        self._say(
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
        if number != self._put:
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
        self._look()
