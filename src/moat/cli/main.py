"""The command `moat`: finds the command that was typed, and ends with its exit code.

Nothing is imported before it is needed; `moat --help` answers from this file alone.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

# The words a person types, with one line each; the module is `moat.cli.commands.NAME`.
COMMANDS = {
    "codex": "run the OpenAI Codex CLI in a box on a workspace",
    "run": "run any command in the same box",
    "grant": "store a credential, or list what is stored",
    "revoke": "remove a stored credential",
    "list": "list runs",
    "logs": "show what a run printed",
    "trace": "show the network requests of a run",
    "doctor": "check that this machine is ready",
    "version": "show versions",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0, 1 failure, 2 usage, 130 Ctrl-C, or the child's own."""
    # Starting makes many objects and drops few: collecting among them is time lost. A
    # supervisor, which lives on, switches it back on.
    gc.disable()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else 2
    name, *rest = arguments
    if name in ("-V", "--version"):
        name = "version"
    try:
        return _dispatch(name, rest)
    except KeyboardInterrupt:
        print("moat: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; what is buffered must not be flushed into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141


def _dispatch(name: str, arguments: list[str]) -> int:
    from moat.cli.output import show_error
    from moat.errors import MoatError, UsageError

    try:
        if name not in COMMANDS:
            raise UsageError(f"there is no command {name!r}", hint=_nearest(name))
        from importlib import import_module

        return int(import_module(f"moat.cli.commands.{name}").main(arguments))
    except MoatError as error:
        show_error(error)
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        show_error(MoatError(f"the system refused: {what}{error.strerror}"))
        return 1


def _help() -> str:
    lines = [
        "Run coding agents in a box they cannot talk their way out of, and never give them a key.",
        "",
        "usage: moat COMMAND [OPTIONS]",
        "",
        *(f"  {name:<9} {text}" for name, text in COMMANDS.items()),
        "",
        "moat COMMAND --help says more. Moat's files are in $MOAT_HOME, or ~/.moat.",
    ]
    return "\n".join(lines)


def _nearest(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"did you mean: moat {near[0]}" if near else "run: moat --help"


if __name__ == "__main__":
    sys.exit(main())
