"""What the model does, written down beforehand: a list of turns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Shell:
    """The model asks for this command to be run; Codex waits for it for at most 30 seconds.

    `escalated`: outside Codex's own sandbox, which Codex may ask the person about.
    """

    command: str
    escalated: bool = False


@dataclass(frozen=True)
class Call:
    """The model calls a tool of an MCP server; the arguments are a JSON object.

    Only to a client that runs JavaScript: others offer such tools in ways of their own.
    """

    server: str
    tool: str
    arguments: str = "{}"


@dataclass(frozen=True)
class Say:
    """The model says this and gives the word back to the user."""

    text: str


Turn = Shell | Call | Say

HELLO: tuple[Turn, ...] = (
    Shell("echo hello from the stand-in"),
    Say("The command ran. This answer comes from a script, not from a model."),
)

# What a conversation is called when Codex asks for its title; at most 36 characters.
TITLE = Say(json.dumps({"title": "Played from a script"}))


def check_script(script: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return the script; raises ValueError unless it ends with Say, as it would never end else."""
    if not script or not isinstance(script[-1], Say):
        raise ValueError("a script must end with Say")
    return tuple(script)


def turn_at(script: Sequence[Turn], taken: int, *, has_shell: bool) -> Turn:
    """Return the turn after `taken` others; the last one stands for all that come after it.

    A client that offers no shell is told the next thing to say instead.
    """
    rest = script[min(taken, len(script) - 1) :]
    return next(turn for turn in rest if has_shell or isinstance(turn, Say))


def parse_script(text: str) -> tuple[Turn, ...]:
    """Read a JSON list of {"shell": COMMAND} and {"say": TEXT}; raises ValueError if it is not."""
    entries = json.loads(text)
    match entries:
        case list():
            return check_script([_parse_turn(entry) for entry in entries])
        case _:
            raise ValueError(f"a script is a JSON list, not {type(entries).__name__}")


def _parse_turn(entry: object) -> Turn:
    match entry:
        case {"shell": str(command), **rest} if not rest:
            return Shell(command)
        case {"say": str(text), **rest} if not rest:
            return Say(text)
        case _:
            raise ValueError(f"expected {{'shell': COMMAND}} or {{'say': TEXT}}, got {entry!r}")
