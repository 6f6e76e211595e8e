"""`moat run`: any command in the box."""

from __future__ import annotations

import os
import shlex

from moat.cli.options import Parser, add_network, open_context
from moat.cli.start import at_a_terminal, in_the_foreground, start
from moat.errors import UsageError

EPILOG = """\
examples:
  moat run -- npm test
  moat run --allow-host github.com -- git ls-remote https://github.com/git/git
  moat run --grant openai -- sh -c 'curl https://api.openai.com/v1/models'
"""


def main(arguments: list[str]) -> int:
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
    parser.add_argument(
        "-g",
        "--grant",
        action="append",
        default=[],
        metavar="NAME",
        help="put this credential into requests to its host; may be repeated",
    )
    add_network(parser)
    options, command = _split(arguments)
    args, extra = parser.parse_known_args(options)
    if extra and extra[0].startswith("-"):
        parser.error(f"unrecognized arguments: {' '.join(extra)}")
    if extra or not command:
        example = shlex.join([*extra, *command]) or "npm test"
        raise UsageError(
            "there is no command to run"
            if not command
            else f"{extra[0]!r} stands before the two dashes",
            hint=f"put the command after two dashes: moat run -- {example}",
        )
    context = open_context()
    return start(
        context,
        workspace=args.workspace,
        command_line="moat run",
        grants=args.grant,
        allow=args.allow_host,
        command=tuple(command),
        terminal=at_a_terminal(),
        stdin=not os.isatty(0) or in_the_foreground(),
    )


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before the two dashes, and the command behind them."""
    if "--" not in arguments:
        return arguments, []
    cut = arguments.index("--")
    return arguments[:cut], arguments[cut + 1 :]
