"""`moat attach`: come back to a live run."""

from __future__ import annotations

import os
from functools import partial

from moat.cli.options import Parser, add_quiet, add_run_argument, open_context
from moat.cli.output import say, show_error, warn
from moat.cli.start import show_receipt
from moat.cli.terminal import at_a_terminal
from moat.errors import UsageError
from moat.run.attach import attach
from moat.run.finding import get_live_run
from moat.run.joining import join
from moat.run.launch import allow_always
from moat.run.part import Part
from moat.run.record import RunDirectory

EPILOG = """\
To leave it again, and let it go on: ctrl-/ d. Who drove the run until then has left it.
"""


def main(arguments: list[str]) -> int:
    """Attach; the run's own exit code once it has ended."""
    parser = Parser(
        "attach",
        "Come back to a live run: its screen is shown as it is, and what is typed goes to it. A "
        "run without a terminal can only be watched.",
        epilog=EPILOG,
    )
    add_run_argument(parser, "the only live one")
    parser.add_argument(
        "--watch", action="store_true", help="only look; ctrl-c leaves, and the run goes on"
    )
    add_quiet(parser)
    args = parser.parse_args(arguments)
    context = open_context()
    record = get_live_run(context.home.runs, args.run)
    if record.kind == "proxy":
        raise UsageError(
            f"run {record.run} is a proxy, and has nothing to look at",
            hint=f"what it is asked for: moat trace {record.run}",
        )
    terminal = at_a_terminal()
    if record.terminal and not terminal and not args.watch:
        raise UsageError(
            f"run {record.run} has a terminal, and you are not at one",
            hint=f"only look: moat attach --watch {record.run}",
        )
    if terminal and not record.terminal:
        say(
            f"watching run {record.run}, which has no terminal: ctrl-c leaves it; what it has "
            f"printed: moat logs {record.run}"
        )
    directory = RunDirectory(context.home.runs, record.run)
    with join(directory.root, {"do": "attach", "watch": args.watch}) as joined:
        drives = joined.said.get("drives") is True
        part = Part(
            terminal=terminal and record.terminal,
            stdin=drives,
            watches=not drives,
            detach_keys=context.settings.terminal.detach_keys,
        )
        garbled = part.terminal and part.watches and _is_smaller(joined.said.get("size"))
        ended = attach(joined.channel, part, unblock=(), store=partial(allow_always, context.home))
    if garbled:  # now, as before it would not have been seen
        warn("this window is smaller than the run's, so what was wider was not shown well")
    if ended.left is not None:
        say(f"run {record.run} goes on: {ended.left}; to come back: moat attach {record.run}")
    elif ended.error is not None:
        show_error(ended.error)
    if ended.left is None:
        show_receipt(context.home, record.run, quiet=args.quiet)
    return ended.code


def _is_smaller(size: object) -> bool:
    """Whether our terminal is smaller than a run's, of which it has said rows and columns."""
    if not isinstance(size, list) or len(size) != 2:
        return False
    own = os.get_terminal_size(1)
    return own.lines < int(size[0]) or own.columns < int(size[1])
