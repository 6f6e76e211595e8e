"""The terminal of a program, made of what the terminal of whoever drives it tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moat.terminal.answers import Known
from moat.terminal.box_terminal import BoxTerminal, Heard


class RunTerminal:
    """One terminal of a run; `place` as control.PLACE has it. Raises ValueError for nonsense."""

    def __init__(
        self, size: tuple[int, int], place: Mapping[str, Any], *, unfiltered: bool = False
    ) -> None:
        at = (int(place.get("row", 1)), int(place.get("column", 1)))
        self._terminal = BoxTerminal(*size, at=at, passes=unfiltered, known=_known(place))

    def feed(self, data: bytes) -> Heard:
        """What the program prints."""
        return self._terminal.feed(data)

    def resize(self, rows: int, columns: int) -> None:
        """Change its size."""
        self._terminal.resize(rows, columns)

    def restore(self) -> bytes:
        """What draws the screen as it is."""
        return self._terminal.restore()

    def learn(self, place: Mapping[str, Any]) -> None:
        """Another terminal of a person's shows it from here on."""
        self._terminal.known = _known(place)


def _known(place: Mapping[str, Any]) -> Known:
    front, back = (
        str(colour).encode() if colour is not None else None
        for colour in (place.get("front"), place.get("back"))
    )
    return Known(place.get("keyboard") is True, front, back)
