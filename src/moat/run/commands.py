"""What a run can be told while it lives: what waits, allow, deny, an answer. JSON in and out.

A command is an object with `do` and what goes with it; the reply an object of facts. No secret
is in either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

from moat.engine.rules import Action, PathRule
from moat.errors import MoatError
from moat.run.asking import Asker
from moat.run.deciding import Decision, Extent, Question

T = TypeVar("T", bound=str)

# Commands that are about the run itself, by what they are to do.
More = Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]

_LONGEST_LINE = 1200  # a method, and the longest path of a rule
_MOST_HOSTS = 256


class NotUnderstood(MoatError):
    """A command that is none."""


class Commands:
    """Does what it is told, for one run."""

    def __init__(self, run: str, asker: Asker, more: More) -> None:
        self._run = run
        self._asker = asker
        self._more = more

    def obey(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a command says; the reply. Raises MoatError."""
        reply: dict[str, Any] = {"run": self._run}
        match command.get("do"):
            case "questions":
                return reply | {
                    "questions": [as_data(item) for item in self._asker.questions()],
                    "timeout": self._asker.timeout,
                }
            case "allow":
                return reply | self._allow(_decision("allow", command))
            case "deny":
                return reply | self._deny(_decision("deny", command))
            case "answer":
                return reply | {"question": as_data(self._answer(command))}
            case "refuse the rest":
                self._asker.refuse_the_rest(_text(command, "by"))
                return reply
            case str(other) if other in self._more:
                return reply | self._more[other](command)
        raise NotUnderstood("this run does not know that command", hint="run: moat --help")

    def _allow(self, decision: Decision) -> dict[str, Any]:
        if decision.extent == "once":
            return {"settled": int(self._asker.allow_once(decision))}
        return {"settled": self._asker.decide(decision)}

    def _deny(self, decision: Decision) -> dict[str, Any]:
        if decision.extent == "once":
            return {"settled": self._asker.deny_once(decision)}
        return {"settled": self._asker.decide(decision)}

    def _answer(self, command: Mapping[str, Any]) -> Question:
        number = command.get("id")
        if not isinstance(number, int):
            raise NotUnderstood("the number of the question is none")
        return self._asker.answer(
            number,
            _word(command, "action", get_args(Action)),
            _word(command, "extent", get_args(Extent)),
            _text(command, "by"),
        )


def as_data(question: Question) -> dict[str, Any]:
    """A question as a program reads it."""
    return {
        "id": question.id,
        "destination": str(question.destination),
        "host": question.host,
        "inside": question.is_inside,
        "method": question.method,
        "url": question.url,
        "waiting": question.waiting,
    }


def _decision(action: Action, command: Mapping[str, Any]) -> Decision:
    """About a host, or the hosts of a group that this machine has looked up; with `line`, about
    some requests to them, as in "GET /x"."""
    extent: Extent = _word(command, "extent", get_args(Extent))
    by = _text(command, "by")
    try:
        line = None
        if command.get("line") is not None:
            line = PathRule.parse(f"{action} {_text(command, 'line', limit=_LONGEST_LINE)}")
        if command.get("group") is None:
            return Decision.about(_text(command, "host"), action, extent, by, line)
        if extent == "once":
            raise NotUnderstood("a group of hosts is for the run, and not for one request")
        hosts = command.get("hosts")
        if not isinstance(hosts, list) or not 0 < len(hosts) <= _MOST_HOSTS:
            raise NotUnderstood("the command says no hosts of the group")
        named = [_text({"host": host}, "host") for host in hosts]
        return Decision.about_group(_text(command, "group"), named, action, extent, by, line)
    except ValueError as error:
        raise NotUnderstood(str(error)) from None


def _text(command: Mapping[str, Any], name: str, *, limit: int = 300) -> str:
    text = command.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= limit:
        raise NotUnderstood(f"the command says no {name}")
    return text


def _word(command: Mapping[str, Any], name: str, words: tuple[T, ...]) -> T:
    text = _text(command, name)
    for word in words:
        if word == text:
            return word
    raise NotUnderstood(f"{name} must be one of: {', '.join(words)}")
