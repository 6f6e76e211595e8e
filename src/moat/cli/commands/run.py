"""`moat run`: any command in the box."""

from __future__ import annotations

import os
import shlex

from moat.cli.options import Parser, add_run_options, asked_of, open_context, split_at_dashes
from moat.cli.start import start
from moat.cli.terminal import at_a_terminal, in_the_foreground
from moat.errors import UsageError
from moat.run.early import Early

EPILOG = """\
examples:
  moat run -- npm test
  moat run --allow-host github.com -- git ls-remote https://github.com/git/git
  moat run --grant openai -- sh -c 'curl https://api.openai.com/v1/models'
  moat run                                the command of moat.yaml
"""


def main(arguments: list[str], early: Early | None = None) -> int:
    """Parse, plan, run."""
    parser = Parser(
        "run",
        "Run a command in a box on a workspace, with no network but what is allowed.",
        usage="moat run [OPTIONS] -- COMMAND [ARGUMENT ...]",
        epilog=EPILOG,
    )
    parser.add_argument(
        "-w", "--workspace", default=".", metavar="DIR", help="the project (here: .)"
    )
    add_run_options(parser)
    options, command = split_at_dashes(arguments)
    args, extra = parser.parse_known_args(options)
    if extra and extra[0].startswith("-"):
        parser.error(f"unrecognized arguments: {' '.join(extra)}")
    if extra:
        example = shlex.join([*extra, *command])
        raise UsageError(
            f"{extra[0]!r} stands before the two dashes"
            if command
            else "there is no command to run",
            hint=f"put the command after two dashes: moat run -- {example}",
        )
    asked = asked_of(
        args,
        command_line="moat run",
        command=tuple(command),
        terminal=at_a_terminal(),
        stdin=not os.isatty(0) or in_the_foreground(),
    )
    return start(open_context(), asked, early)
