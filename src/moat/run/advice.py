"""What a person should be told when a run has failed, from what its requests met."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from moat.engine.exchange import Entry, Measured
from moat.proxy.interface import Recorder

_SHOWN = 3
_ASK_AGAIN = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Advice:
    """What went wrong on the network, and what to do about it."""

    message: str
    hint: str


class Watched:
    """A recorder that also remembers the last trouble of each kind."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._rejected: Entry | None = None
        self._failed: Entry | None = None
        self._refused: list[str] = []

    def record(self, number: int, entry: Entry, measured: Measured) -> None:
        """Write down an exchange. Raises RecordError."""
        self._recorder.record(number, entry, measured)
        if entry.status in _ASK_AGAIN and entry.grants and entry.outcome == "forwarded":
            self._rejected = entry
        elif entry.outcome == "failed" and entry.status is not None:
            self._failed = entry
        elif entry.outcome == "refused" and entry.verdict is not None:
            # Only what came as far as a verdict has a host that was read and understood; and
            # the agent may ask as often as it likes.
            place = _place(entry)
            if place not in self._refused and len(self._refused) < _SHOWN + 1:
                self._refused.append(place)

    def advice(self, command: str) -> Advice | None:
        """What to tell the person who typed `command`; the likeliest cause only."""
        if self._rejected is not None:
            grant = self._rejected.grants[0]
            return Advice(
                f"the credential of grant {grant} was rejected ({self._rejected.status}) by "
                f"{_place(self._rejected)}",
                f"grant it again: moat grant {grant}",
            )
        if self._failed is not None and self._failed.error is not None:
            return Advice(self._failed.error, "run: moat trace")
        if self._refused:
            shown = ", ".join(self._refused[:_SHOWN])
            if len(self._refused) > _SHOWN:
                shown += ", …"
            again = f"{command} --allow-host {shlex.quote(_pattern(self._refused[0]))}"
            return Advice(f"the policy refused: {shown}", f"run: moat trace; then: {again}")
        return None


def _place(entry: Entry) -> str:
    scheme, _, rest = entry.url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _pattern(place: str) -> str:
    """A place as --allow-host takes it: 443 goes without saying, 80 does not."""
    scheme, _, authority = place.partition("://")
    return f"{authority}:80" if scheme == "http" and ":" not in authority else authority
