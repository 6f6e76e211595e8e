"""What a person should be told when a run has failed, from what its requests met.

What counts at each destination is the last trouble there, if no later request got through: who
is answered in the end has not failed of what came before. Of several destinations the one with
the most telling trouble is named: a credential refused, a limit, a service that fails itself, a
connection that failed; and only then what the policy refused.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from moat.engine.exchange import Entry, Measured
from moat.engine.policy import Verdict
from moat.proxy.answers import ENDED, GONE
from moat.proxy.interface import Recorder

_SHOWN = 3
_PLACES = 32
_REJECTED = 0
# It was not the network that ended these.
_OUR_OWN = frozenset({GONE.detail, ENDED.detail})


@dataclass(frozen=True, slots=True)
class Advice:
    """What went wrong on the network, and what to do about it."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Trouble:
    """The last trouble of a destination: the lower `rank`, the more it explains."""

    rank: int
    advice: Advice
    newest: int
    """The number of the newest request there was when it was over: those above came after it."""


class Watched:
    """A recorder that also remembers the last trouble of each destination."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._newest = 0
        self._troubles: dict[str, _Trouble] = {}
        self._refused: dict[str, str] = {}  # the hint, by place
        self._alarms: list[str] = []

    def record(self, number: int, entry: Entry, measured: Measured) -> None:
        """Write down an exchange. Raises RecordError."""
        self._recorder.record(number, entry, measured)
        if entry.alarm is not None and entry.alarm not in self._alarms[:_SHOWN]:
            self._alarms.append(entry.alarm)
        if number > self._newest:
            self._newest = number
        if entry.outcome == "open" or (
            entry.outcome == "forwarded" and not self._troubles and (entry.status or 0) < 400
        ):
            return
        place = _place(entry)
        if entry.outcome == "refused" and entry.verdict is not None:
            # Only what came as far as a verdict has a host that was read and understood; and
            # the agent may ask as often as it likes.
            if place not in self._refused and len(self._refused) < _SHOWN + 1:
                self._refused[place] = _decided_by(entry.verdict)
        elif trouble := _trouble(entry, place):
            self._troubles.pop(place, None)
            self._troubles[place] = _Trouble(*trouble, self._newest)
            if len(self._troubles) > _PLACES:
                del self._troubles[next(iter(self._troubles))]
        elif entry.outcome == "forwarded":
            before = self._troubles.get(place)
            if before is not None and number > before.newest:
                del self._troubles[place]

    def alarm(self) -> Advice | None:
        """What no agent does by accident: worth telling whatever became of the run."""
        if not self._alarms:
            return None
        more = ", and more" if len(self._alarms) > 1 else ""
        return Advice(f"alarm: {self._alarms[0]}{more}", "run: moat trace")

    def rejection(self) -> Advice | None:
        """A credential that was refused to the end: worth telling whatever became of the run."""
        worst = self._worst()
        return worst.advice if worst is not None and worst.rank == _REJECTED else None

    def _worst(self) -> _Trouble | None:
        newest_first = reversed(self._troubles.values())
        return min(newest_first, key=lambda trouble: trouble.rank, default=None)

    def advice(self, command: str) -> Advice | None:
        """The likeliest cause alone, for the person who typed `command` and whose run failed."""
        if worst := self._worst():
            return worst.advice
        if self._refused:
            first, *_ = places = list(self._refused)
            shown = ", ".join(places[:_SHOWN])
            if len(places) > _SHOWN:
                shown += ", …"
            again = f"then: {command} --allow-host {shlex.quote(_pattern(first))}"
            hint = f"run: moat trace; {self._refused[first] or again}"
            return Advice(f"the policy refused: {shown}", hint)
        return None


def _decided_by(verdict: Verdict) -> str:
    """The rule that refused a request, where no option would have allowed what it refused: it is
    the person's own, or there are requests that it allows."""
    rule = verdict.rule
    if rule is None or not (rule.paths or rule.source == "settings"):
        return ""
    if rule.paths:
        return f"what decided: the rules about requests to {rule.pattern} ({rule.origin})"
    return f"what decided: {rule}"


def _trouble(entry: Entry, place: str) -> tuple[int, Advice] | None:
    """What is wrong with how an exchange ended, if it is something to tell."""
    if entry.outcome == "failed" and entry.status is not None and entry.error is not None:
        if entry.error in _OUR_OWN:
            return None
        return 3, Advice(entry.error, "run: moat trace")
    if entry.outcome == "forwarded" and entry.status is not None and entry.grants:
        return _rejection(entry.status, entry.grants[0], place)
    return None


def _rejection(status: int, grant: str, place: str) -> tuple[int, Advice] | None:
    """What an answer with this status says of the credential it was asked with."""
    if status in (401, 403):
        # A token of a server is granted for its address.
        command = f"{grant} --url {place}" if grant.startswith("mcp:") else grant
        return _REJECTED, Advice(
            f"the credential of grant {grant} was rejected ({status}) by {place}",
            f"grant it again: moat grant {command}",
        )
    if status == 429:
        return 1, Advice(
            f"the rate limit or quota of grant {grant} at {place} is used up (429)",
            "wait a while, or check the plan and billing of the account behind the grant",
        )
    if status >= 500:
        return 2, Advice(f"{place} fails itself ({status})", "try again later")
    return None


def _place(entry: Entry) -> str:
    scheme, _, rest = entry.url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _pattern(place: str) -> str:
    """A place as --allow-host takes it: 443 goes without saying, 80 does not."""
    scheme, _, authority = place.partition("://")
    return f"{authority}:80" if scheme == "http" and ":" not in authority else authority
