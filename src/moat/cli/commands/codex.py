"""`moat codex`: the real Codex CLI on a workspace."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

from moat.cli.options import Parser, add_run_options, asked_of, open_context, split_at_dashes
from moat.cli.output import warn
from moat.cli.start import start
from moat.cli.terminal import at_a_terminal, stdin_is_piped
from moat.errors import UsageError
from moat.providers.agent import AgentWanted
from moat.run.early import Early
from moat.runtimes.interface import WORKSPACE

EPILOG = """\
examples:
  moat codex -p "explain this codebase"
  moat codex -p "fix the failing tests" ~/src/project
  moat codex                              at the terminal, as Codex itself
  moat codex -- "what does main do?"      the same, with the first words said
  moat codex --resume -p "and the docs"   go on with the last session of this workspace
"""
_SESSION = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def main(arguments: list[str], early: Early | None = None) -> int:
    """Parse, plan, run."""
    own, opening = split_at_dashes(arguments)
    # An option that may have a value would take the workspace for it.
    own = ["--full-auto=true" if word == "--full-auto" else word for word in own]
    args = _parser().parse_args(own)
    _settle_resume(args)
    if args.prompt is None and " " in args.workspace and not Path(args.workspace).exists():
        raise UsageError(
            "that looks like a task, and there is no directory of that name",
            hint=f"run: moat codex -p {shlex.quote(args.workspace)}",
        )
    if args.prompt is not None and opening:
        raise UsageError(
            "there is a task in -p and another after the two dashes",
            hint="-p does one and ends; after -- come the first words of a conversation",
        )
    if args.prompt is not None and not args.prompt.strip():
        raise UsageError(
            "the task is empty", hint='say what to do: moat codex -p "explain this codebase"'
        )
    if args.model is not None and not args.model.strip():
        raise UsageError("--model: the name is empty", hint="leave it out for Codex's own choice")
    terminal = args.prompt is None
    yolo = _yolo(args)
    if not yolo and not terminal:
        raise UsageError(
            "without a terminal Codex can ask nobody, so with --noyolo it would run no command",
            hint="leave out --noyolo, or leave out -p",
        )
    if terminal and not args.dry_run and not at_a_terminal():
        raise UsageError(
            "Codex wants a terminal to talk to you, and there is none",
            hint='give it a task: moat codex -p "explain this codebase"',
        )
    task = AgentWanted(
        WORKSPACE,
        prompt=args.prompt,
        opening=" ".join(opening) or None,
        resume=args.resume,
        model=args.model,
        yolo=yolo,
    )
    asked = asked_of(
        args,
        command_line="moat codex",
        agent="codex",
        task=task,
        terminal=terminal,
        # Codex reads what is piped to it to the end; a terminal it would wait for in silence.
        stdin=terminal or stdin_is_piped(),
    )
    return start(open_context(), asked, early)


def _parser() -> Parser:
    parser = Parser(
        "codex",
        "Run the OpenAI Codex CLI in a box on a workspace. The box holds no key: Moat puts it "
        "into the requests on their way out. Needs: moat grant openai",
        usage="moat codex [OPTIONS] [WORKSPACE] [-- FIRST WORDS]",
        epilog=EPILOG,
    )
    parser.add_argument("workspace", nargs="?", default=".", help="the project (here: .)")
    parser.add_argument("-p", "--prompt", metavar="TASK", help="do this task and end")
    parser.add_argument("--model", metavar="NAME", help="the model to use")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="last",
        metavar="SESSION",
        help="go on with an earlier session of this workspace, the last or the one of an id",
    )
    parser.add_argument(
        "--noyolo",
        action="store_true",
        help="let Codex ask before it acts, and confine what it runs a second time",
    )
    parser.add_argument(
        "--full-auto",
        choices=("true", "false"),
        help="deprecated: on by default; --full-auto=false is --noyolo",
    )
    add_run_options(parser)
    return parser


def _settle_resume(args: argparse.Namespace) -> None:
    """`--resume DIR` means the last session of that workspace: a session's id looks different."""
    given = args.resume
    if given in (None, "last") or _SESSION.fullmatch(given):
        return
    if args.workspace != "." or not Path(given).exists():
        raise UsageError(
            f"--resume: {given!r} is no id of a session",
            hint="for the last one: moat codex --resume",
        )
    args.workspace, args.resume = given, "last"


def _yolo(args: argparse.Namespace) -> bool:
    if args.full_auto is None:
        return not args.noyolo
    if args.full_auto == "true":
        warn("--full-auto is deprecated, and on by default; leave it out")
        if args.noyolo:
            raise UsageError("--full-auto and --noyolo are opposites", hint="choose one")
        return True
    warn("--full-auto=false is deprecated; it is called --noyolo now")
    return False
