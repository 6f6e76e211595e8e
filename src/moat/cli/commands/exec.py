"""`moat exec`: a further command in the box of a live run."""

from __future__ import annotations

import os
import shlex
import signal
import time
from functools import partial
from typing import Any

from moat.cli.options import Parser, add_run_argument, open_context, split_at_dashes
from moat.cli.output import say, show_error
from moat.cli.terminal import at_a_terminal
from moat.errors import UsageError
from moat.run.attach import attach
from moat.run.finding import get_live_run
from moat.run.joining import join
from moat.run.launch import allow_always
from moat.run.part import Part
from moat.run.record import LIVE, RunDirectory

# The codes of a command whose client has left, and of one that was killed, as by its run's end.
_HUNG_UP, _KILLED = 128 + signal.SIGHUP, 128 + signal.SIGKILL
# Seconds within which a run that ends is seen to be ending, and to have ended; between two looks.
_NOTICED, _ENDING = 1.0, 10.0
_LOOK = 0.05

EPILOG = """\
examples:
  moat exec -- ps aux
  moat exec -t fixer -- bash
"""


def main(arguments: list[str]) -> int:
    """Execute it; its exit code."""
    parser = Parser(
        "exec",
        "Run a further command in the box of a live run: it sees what the run sees, under the "
        "same policy and limits, and its requests are in the same trace.",
        usage="moat exec [-t] [RUN] -- COMMAND [ARGUMENT ...]",
        epilog=EPILOG,
    )
    add_run_argument(parser, "the only live one")
    parser.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    options, command = split_at_dashes(arguments)
    args = parser.parse_args(options)
    if not command:
        where = f"{shlex.quote(args.run)} " if args.run else ""
        raise UsageError(
            "there is no command to execute",
            hint=f"put it after two dashes: moat exec {where}-- ls",
        )
    if args.tty and not at_a_terminal():
        raise UsageError("-t: you are not at a terminal", hint="leave -t out")
    context = open_context()
    record = get_live_run(context.home.runs, args.run)
    if record.kind == "proxy":
        raise UsageError(f"run {record.run} is a proxy, and has no box", hint="run: moat list")
    asked: dict[str, Any] = {"do": "exec", "command": command}
    if args.tty:
        size = os.get_terminal_size(0)
        asked["terminal"] = {
            "rows": size.lines,
            "columns": size.columns,
            "term": os.environ.get("TERM", "xterm"),
        }
    with join(RunDirectory(context.home.runs, record.run).root, asked) as joined:
        keys = context.settings.terminal.detach_keys
        part = Part(terminal=args.tty, stdin=True, first=True, detach_keys=keys)
        ended = attach(joined.channel, part, unblock=(), store=partial(allow_always, context.home))
    if ended.left is not None:
        # It hung up on the command, which nobody else can take up.
        say(f"the command was ended: {ended.left}; run {record.run} goes on")
        return ended.code or _HUNG_UP
    if ended.error is not None and not ended.died:
        show_error(ended.error)
    elif ended.died or ended.code == _KILLED:
        _tell_end(RunDirectory(context.home.runs, record.run))
    return _KILLED if ended.died else ended.code


def _tell_end(directory: RunDirectory) -> None:
    """Say how the run has ended, if that is what killed a command in it."""
    from moat.run.receipt import receipt_of

    began = time.monotonic()
    while (record := directory.read()) is not None and record.state in LIVE:
        waited = time.monotonic() - began
        if waited > (_ENDING if record.state == "stopping" else _NOTICED):
            break
        time.sleep(_LOOK)
    if record is None:
        say(f"run {directory.root.name} has ended")
    elif record.state == "stopping":
        say(f"run {record.run} is ending; how it ends: moat receipt {record.run}")
    elif record.state not in LIVE:
        say(f"run {record.run} has ended: {receipt_of(directory, record).how}")
