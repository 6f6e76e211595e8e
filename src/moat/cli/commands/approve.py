"""`moat approve`: what a live run waits for, and answers to it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Any

from moat.cli.live import add_extent, add_run, extent_of, failed, store_always
from moat.cli.options import Parser, add_json, open_context
from moat.cli.output import say, show_json, show_table
from moat.core.hosts import HostPattern
from moat.errors import MoatError, UsageError
from moat.planning.context import Context
from moat.run.command_socket import tell
from moat.run.finding import get_live_run
from moat.run.question import LATER, PROMPT, Answer, Asked, find_answer, question_lines
from moat.run.record import RunDirectory

EPILOG = """\
examples:
  moat approve                  at a terminal: asks about each request that waits; else lists them
  moat approve 3                allow what question 3 is about, to the end of the run
  moat approve 3 --once         let its request through, and no other
  moat approve 3 --deny         refuse it to the end of the run; with --once, now
"""
_BY = "moat approve"
_NUMBER = re.compile("[0-9]{1,18}")


def main(arguments: list[str]) -> int:
    """List, ask, or answer."""
    parser = Parser(
        "approve", "Answer what a run asks that was started in ask mode.", epilog=EPILOG
    )
    parser.add_argument("id", nargs="?", metavar="ID", help="the number of a question")
    add_run(parser)
    add_extent(parser, request="the one that is shown")
    parser.add_argument("--deny", action="store_true", help="refuse it instead")
    add_json(parser)
    args = parser.parse_args(arguments)
    if args.id is not None:
        args.id = _number(args.id)
    if args.id is None and (args.once or args.always or args.deny):
        parser.error("which question? give its ID; to see them: moat approve")
    if args.id is not None and args.json:
        parser.error("--json goes without an ID")
    context = open_context()
    run = get_live_run(context.home.runs, args.run, option="--run ")
    directory = RunDirectory(context.home.runs, run.run).root
    if args.id is not None:
        answer = Answer("deny" if args.deny else "allow", extent_of(args))
        _answer(context, directory, _find(directory, run.name, args.id), answer)
    elif args.json:
        show_json(tell(directory, {"do": "questions"})["questions"])
    elif os.isatty(0) and os.isatty(2):
        _ask_about_each(context, directory, run.name)
    else:
        _list(directory)
    return 0


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise UsageError(
            f"{text!r} is no number of a question", hint="see what waits: moat approve"
        )
    return int(text)


def _questions(directory: Path, name: str | None) -> list[Asked]:
    reply = tell(directory, {"do": "questions"})
    shared = {"run": reply["run"], "name": name, "timeout": reply["timeout"]}
    return [Asked.of(question | shared) for question in reply["questions"]]


def _find(directory: Path, name: str | None, number: int) -> Asked:
    for asked in _questions(directory, name):
        if asked.id == number:
            return asked
    raise MoatError(f"there is no question {number} now", hint="see what waits: moat approve")


def _list(directory: Path) -> None:
    questions = _questions(directory, None)
    if not questions:
        say("nothing waits")
        return
    rows = [
        (str(asked.id), asked.host, f"{asked.method} {asked.url}", str(asked.waiting))
        for asked in questions
    ]
    show_table(("ID", "HOST", "REQUEST", "WAITING"), rows)


def _ask_about_each(context: Context, directory: Path, name: str | None) -> None:
    """Ask about every question there is, also about those that come meanwhile."""
    left: set[int] = set()
    asked_any = False
    while questions := [item for item in _questions(directory, name) if item.id not in left]:
        asked_any = True
        left.add(questions[0].id)
        answer = _ask(questions[0])
        if answer == LATER:
            return
        try:
            _answer(context, directory, questions[0], answer)
        except MoatError as error:  # it was answered elsewhere, or has waited too long
            say(f"moat: {error.message}")
    if not asked_any:
        say("nothing waits")


def _ask(asked: Asked) -> Answer:
    import termios

    for line in question_lines(asked):
        say(line)
    # What was typed before the question is no answer to it.
    with contextlib.suppress(termios.error):
        termios.tcflush(0, termios.TCIFLUSH)
    while True:
        print(PROMPT, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            return LATER
        if (answer := find_answer(line)) is not None:
            return answer


def _answer(context: Context, directory: Path, asked: Asked, answer: Answer) -> None:
    if answer.extent == "rest":
        tell(directory, {"do": "refuse the rest", "by": _BY})
        say(answer.done(asked))
        return
    if answer.extent == "always":
        # A denial without a port would be of every port.
        pattern = HostPattern.parse(asked.host)
        port = ":443" if answer.action == "deny" and pattern.port == 443 else ""
        store_always(context, answer.action, asked.host + port)
    command: dict[str, Any] = {"do": "answer", "id": asked.id, "by": _BY}
    try:
        tell(directory, command | {"action": answer.action, "extent": answer.extent})
    except MoatError as error:
        raise failed(error, answer.extent) from None
    say(answer.done(asked))
