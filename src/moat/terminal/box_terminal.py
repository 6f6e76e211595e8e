"""The terminal that a run has: between its program and the person's, it filters and answers."""

from __future__ import annotations

from dataclasses import dataclass

from moat.terminal.answers import Known, answer
from moat.terminal.filter import Filter, Filtered
from moat.terminal.modes import Modes
from moat.terminal.restore import restore
from moat.terminal.screen import Screen

_LONGEST_ANSWER = 4096  # bytes at a time: who asks without end and reads nothing fills nothing


@dataclass(frozen=True, slots=True)
class Heard:
    """What of it the person is shown, and what the program is to read as an answer."""

    shown: bytes
    answer: bytes


class BoxTerminal:
    """Follows what the program prints. Nothing it prints makes this fail, or grow."""

    def __init__(
        self,
        rows: int,
        columns: int,
        *,
        at: tuple[int, int] = (1, 1),
        passes: bool = False,
        known: Known | None = None,
    ) -> None:
        """`at` is where the person's cursor stood: row and column, from 1.

        With `passes` all is shown as it is, and the person's terminal answers. `known` may be
        set anew when another terminal is attached.
        """
        self.known = known or Known()
        self._passes = passes
        self._filter = Filter()
        self._modes = Modes() if passes else self._filter.modes
        self._screen = Screen(rows, columns, at=at)

    def feed(self, data: bytes) -> Heard:
        """The program has printed this."""
        filtered = self._filter.feed(data)
        answers = self._follow(filtered)
        if self._passes:
            self._modes.feed(data)
            return Heard(data, b"")
        return Heard(filtered.shown, answers)

    def _follow(self, filtered: Filtered) -> bytes:
        answers = bytearray()
        place = 0
        for at, sequence in filtered.taken_out:
            self._screen.feed(filtered.shown[place:at])
            place = at
            if not self._passes and len(answers) < _LONGEST_ANSWER:
                answers += answer(sequence, self._screen, self.known)
        self._screen.feed(filtered.shown[place:])
        return bytes(answers)

    def work(self, budget: int) -> bool:
        """Use idle time: work off so many bytes of what waits; whether something still waits."""
        return self._screen.work(budget)

    def resize(self, rows: int, columns: int) -> None:
        """The person's terminal has another size from here on."""
        self._screen.resize(rows, columns)

    def restore(self) -> bytes:
        """What makes a terminal of this size show what the program has on it, modes and all."""
        return restore(self._screen)

    def undo(self) -> bytes:
        """What must be written for a terminal to be as it was before the program."""
        return self._modes.undo()
