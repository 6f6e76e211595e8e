"""Plays an exchange as a conversation, with no socket anywhere."""

from __future__ import annotations

import dataclasses
from typing import Any

from moat.core.hosts import Destination, HostPattern
from moat.core.secret import Secret
from moat.engine.exchange import Command, Exchange, ExchangeFailed, Record
from moat.engine.inject import Injection
from moat.engine.messages import Headers, Request
from moat.engine.policy import Policy, Rule
from moat.engine.session import RunSession

KEY = Secret("sk-1")
BEARER = Injection("openai", HostPattern.parse("api.example"), "Authorization", "Bearer {}")


def play(conversation: Exchange, *replies: object) -> list[Command]:
    """Carry an exchange through, giving one reply to each command that is no Record.

    A reply that is an ExchangeFailed is thrown in. A Record is replied to with None, unless the
    reply that is next in turn is `RecordFails`. Gives back every command, in order.
    """
    rest = list(replies)
    seen: list[Command] = []
    try:
        command = next(conversation)
        while True:
            if isinstance(command, Record):
                command = Record(dataclasses.replace(command.entry))
            seen.append(command)
            reply: Any = None
            if isinstance(command, Record):
                if rest and isinstance(rest[0], RecordFails):
                    reply = rest.pop(0).failure
            elif rest:
                reply = rest.pop(0)
            if isinstance(reply, ExchangeFailed):
                command = conversation.throw(reply)
            else:
                command = conversation.send(reply)
    except StopIteration:
        assert not rest, f"nobody asked for {rest}"
        return seen


class RecordFails:
    """The reply to a Record that could not be written."""

    def __init__(self, failure: ExchangeFailed) -> None:
        self.failure = failure


def ask(
    url: str = "https://api.example/v1", method: str = "POST", headers: Headers = ()
) -> Request:
    """A request to a URL."""
    scheme, rest = url.split("://")
    authority, slash, path = rest.partition("/")
    destination = Destination.parse(scheme, authority)
    return Request(method, destination, slash + path or "/", headers)


def session(*injections: Injection, allow: tuple[str, ...] = ("api.example",)) -> RunSession:
    """A session that allows these and injects those."""
    rules = tuple(Rule(HostPattern.parse(text), "option") for text in allow)
    return RunSession("0123456789", Policy(rules), injections, "moat codex")
