"""The command `moat`: finds the command that was typed, and ends with its exit code.

Nothing is imported before it is needed.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Callable, Sequence

# The words a person types, with one line each; the module is `moat.cli.commands.NAME`. Those of
# agents are their providers' (`all_commands`).
COMMANDS = {
    "run": "run any command in the same box",
    "proxy": "serve a process that Moat did not start",
    "grant": "store a credential, or list what is stored",
    "revoke": "remove a stored credential",
    "attach": "come back to a live run, or watch it",
    "exec": "run a command in the box of a live run",
    "list": "list runs",
    "status": "show how a run stands",
    "wait": "wait for a run to end",
    "stop": "ask live runs to end",
    "kill": "end live runs at once",
    "rm": "remove runs that have ended",
    "clean": "remove what is old, and what was left behind",
    "logs": "show what a run printed",
    "replay": "show what a run's terminal showed, again",
    "receipt": "show what came of a run",
    "events": "show what happened to runs",
    "trace": "show the network requests of a run",
    "allow": "let a live run reach a host",
    "deny": "let a live run reach a host no more",
    "approve": "answer what a live run asks",
    "worktree": "list or remove what --worktree made",
    "policy": "show the groups of hosts that rules can name",
    "doctor": "check that this machine is ready",
    "completion": "have a shell complete what is typed",
    "version": "show versions",
}


def run() -> None:
    """Be the program: run the command of this process, and end it."""
    code = main()
    # All is written. To take apart what was loaded, piece by piece, is time that a person waits.
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0, 1 failure, 2 usage, 130 Ctrl-C, or the child's own."""
    # Starting makes many objects and drops few: collecting among them is time lost. A
    # supervisor, which lives on, switches it back on.
    gc.disable()
    try:
        _ensure_standard_streams()
        return _dispatch(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        print("moat: interrupted", file=sys.stderr)
        return 130


def _ensure_standard_streams() -> None:
    """Open what we were started without, or the next file opened would be taken for it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest that is free, so this one
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, "w" if number else "r", closefd=False))  # noqa: SIM115
    # A file's name may be no text; it is shown as well as can be.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _dispatch(arguments: list[str]) -> int:
    from moat.errors import MoatError, system_error

    failure: MoatError | None = None
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except MoatError as error:
        failure = error
    except BrokenPipeError:
        code = 141
    except OSError as error:
        failure = system_error(error)
    if failure is not None:
        from moat.cli.output import show_error

        code = failure.exit_code
        try:
            show_error(failure)
        except OSError:
            pass  # nobody is there to be told
    for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            # What is buffered cannot be written, and must not be tried again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    return code


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else 2
    name, *rest = arguments
    if name in ("-V", "--version"):
        name = "version"
    module = _module(name)
    # Loaded at the same time as the supervisor of the run that is most likely to come.
    early = () if name in COMMANDS and name != "run" else _early(rest)
    command = _load(module)
    try:
        return command(rest, *early)
    except SystemExit as ended:  # how argparse ends once it has printed its help
        return int(ended.code or 0)


def _module(name: str) -> str:
    if name in COMMANDS:
        return f"moat.cli.commands.{name}"
    from moat.providers.commands import AGENT_COMMANDS

    if name not in AGENT_COMMANDS:
        from moat.errors import UsageError

        raise UsageError(f"there is no command {name!r}", hint=_nearest(name))
    return AGENT_COMMANDS[name][1]


def all_commands() -> dict[str, str]:
    """Every word a person can type, with one line about it."""
    from moat.providers.commands import AGENT_COMMANDS

    return {name: line for name, (line, _) in AGENT_COMMANDS.items()} | COMMANDS


def _early(arguments: list[str]) -> tuple[object, ...]:
    """The process of a supervisor, where the arguments do not say that there will be no run."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if {"-h", "--help", "--dry-run"}.intersection(own):
        return ()
    from moat.run.early import fork_supervisor

    return (fork_supervisor(),)


def _load(module: str) -> Callable[..., int]:
    """Import a command. A Ctrl-C waits meanwhile: Python may lose it in the midst of an import."""
    import signal
    from importlib import import_module

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        command: Callable[..., int] = import_module(module).main
        return command
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _help() -> str:
    lines = [
        "Run coding agents in a box they cannot talk their way out of, and never give them a key.",
        "",
        "usage: moat COMMAND [OPTIONS]",
        "",
        *(f"  {name:<10} {text}" for name, text in all_commands().items()),
        "",
        "moat COMMAND --help says more. Moat's files are in $MOAT_HOME, or ~/.moat.",
    ]
    return "\n".join(lines)


def _nearest(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, all_commands(), n=1)
    return f"did you mean: moat {near[0]}" if near else "run: moat --help"


if __name__ == "__main__":
    run()
