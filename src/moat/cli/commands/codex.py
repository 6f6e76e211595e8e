"""`moat codex`: the real Codex CLI on a workspace."""

from __future__ import annotations

import shlex
from pathlib import Path

from moat.cli.options import Parser, add_network, open_context
from moat.cli.start import at_a_terminal, start, stdin_is_piped
from moat.errors import UsageError
from moat.providers.registry import get_agent
from moat.runtimes.interface import WORKSPACE

EPILOG = """\
examples:
  moat codex -p "explain this codebase"
  moat codex -p "fix the failing tests" ~/src/project
  moat codex                              at the terminal, as Codex itself
"""


def main(arguments: list[str]) -> int:
    """Parse, plan, run."""
    parser = Parser(
        "codex",
        "Run the OpenAI Codex CLI in a box on a workspace. The box holds no key: Moat puts it "
        "into the requests on their way out. Needs: moat grant openai",
        epilog=EPILOG,
    )
    parser.add_argument("workspace", nargs="?", default=".", help="the project (here: .)")
    parser.add_argument("-p", "--prompt", metavar="TASK", help="do this task and end")
    add_network(parser)
    args = parser.parse_args(arguments)
    if args.prompt is None and " " in args.workspace and not Path(args.workspace).exists():
        raise UsageError(
            "that looks like a task, and there is no directory of that name",
            hint=f"run: moat codex -p {shlex.quote(args.workspace)}",
        )
    terminal = args.prompt is None
    if terminal and not at_a_terminal():
        raise UsageError(
            "Codex wants a terminal to talk to you, and there is none",
            hint='give it a task: moat codex -p "explain this codebase"',
        )
    if args.prompt is not None and not args.prompt.strip():
        raise UsageError(
            "the task is empty", hint='say what to do: moat codex -p "explain this codebase"'
        )
    context = open_context()
    agent = get_agent("codex")
    return start(
        context,
        workspace=args.workspace,
        command_line="moat codex",
        grants=[agent.grant_ref],
        allow=args.allow_host,
        agent=agent.set_up(prompt=args.prompt, workspace=WORKSPACE, arguments=()),
        agent_name="codex",
        terminal=terminal,
        # Codex reads what is piped to it to the end; a terminal it would wait for in silence.
        stdin=terminal or stdin_is_piped(),
    )
