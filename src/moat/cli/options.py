"""What the commands share: the parser, where Moat's files are, the person's settings."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any, NoReturn

from moat.cli.output import say
from moat.config.paths import Home, ensure_home, moat_home
from moat.config.settings import load_settings
from moat.errors import UsageError
from moat.planning.context import Context

if TYPE_CHECKING:
    from moat.config.accepted import Accepted
    from moat.config.project import Project
    from moat.config.project_file import ProjectFile
    from moat.planning.asked import Asked


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints look like all of Moat's."""

    def __init__(self, command: str, description: str, **options: object) -> None:
        super().__init__(
            prog=f"moat {command}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **options,  # type: ignore[arg-type]  # passed through as they are
        )

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        hint = f"run: {self.prog} --help"
        unknown = message.removeprefix("unrecognized arguments: ").split()[0].partition("=")[0]
        if unknown.startswith("-"):
            import difflib

            known = [
                word for word in self._option_string_actions if word not in (unknown, "--help")
            ]
            near = difflib.get_close_matches(unknown, known, n=1, cutoff=0.7)
            hint = f"did you mean {near[0]}? {hint}" if near else hint
        raise UsageError(f"{self.prog}: {_plainly(message)}", hint=hint)


# What argparse says of the mistakes that only it can see, and how we say it.
_PLAINLY = (
    (r"argument (\S+): invalid choice: (.*) \(choose from (.*)\)", r"\1: \2 is none of \3"),
    (r"argument (\S+): expected one argument", r"\1 wants a value"),
    (r"argument (\S+): not allowed with argument (\S+)", r"\1 and \2 do not go together"),
    (r"the following arguments are required: (.*)", r"\1 is missing"),
)


def _plainly(message: str) -> str:
    import re  # here, as most command lines have no mistake

    for pattern, said in _PLAINLY:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            return found.expand(said)
    return message


def find_home() -> Home:
    """Moat's directory; nothing is made or read."""
    return Home(moat_home(os.environ))


def open_context() -> Context:
    """Moat's directory, made if need be, and the settings in it."""
    home = find_home()
    ensure_home(home)
    return Context(home, load_settings(home), say, _agree)


def _agree(accepted: Accepted, file: ProjectFile, project: Project) -> None:
    from moat.cli.agree import agree  # here, as most workspaces have no file

    agree(accepted, file, project)


def add_json(parser: argparse.ArgumentParser, *, hidden: bool = False) -> None:
    """The option --json; hidden where it is known only to say where it belongs."""
    shown = argparse.SUPPRESS if hidden else "print data for a program"
    parser.add_argument("--json", action="store_true", help=shown)


def add_run_argument(parser: argparse.ArgumentParser, default: str = "the latest") -> None:
    """The argument RUN, which may be left out."""
    parser.add_argument(
        "run", nargs="?", metavar="RUN", help=f"id, its beginning, or name ({default})"
    )


def add_runs_argument(parser: argparse.ArgumentParser) -> None:
    """The argument RUN, of live runs, and the option for all of them."""
    parser.add_argument(
        "run", nargs="*", metavar="RUN", help="ids, their beginnings, or names (the only live one)"
    )
    parser.add_argument("-a", "--all", action="store_true", help="every live run")


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """The option --quiet, of what shows how a run ends."""
    parser.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="show no receipt at the end, unless a changed file would run something on this "
        "machine",
    )


_LIMITS = (
    ("timeout", "TIME", "end the run after 90s, 30m or 2h"),
    ("memory", "SIZE", "the memory it may use, 512m or 4g; none for no limit, as for the others"),
    ("pids", "NUMBER", "how many processes it may have at a time"),
    ("cpus", "NUMBER", "how many processors it may keep busy, 2 or 0.5"),
    ("disk", "SIZE", "what its private directories (/tmp, the home) may hold together"),
)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options of everything that starts a run."""
    several: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument(
        "-g",
        "--grant",
        **several,
        metavar="NAME",
        help="put this credential into requests to its host; may be repeated",
    )
    parser.add_argument(
        "--allow-host",
        **several,
        metavar="HOST[:PORT]",
        help="let the run reach a host, *.DOMAIN, or a @GROUP of hosts; may be repeated",
    )
    parser.add_argument(
        "--policy",
        choices=("strict", "ask", "permissive"),
        help="what no rule is about is refused, asked about, or let through",
    )
    parser.add_argument(
        "-e",
        "--env",
        **several,
        metavar="NAME[=VALUE]",
        help="set a variable in the box, or give it the value it has here; may be repeated",
    )
    parser.add_argument(
        "-m",
        "--mount",
        **several,
        metavar="SOURCE:TARGET[:rw]",
        help="show a file or directory in the box, read-only unless :rw; may be repeated",
    )
    parser.add_argument(
        "--allow-write",
        **several,
        metavar="PATH",
        help="let the run change a file that programs of this machine obey, as .git/config; may be "
        "repeated",
    )
    parser.add_argument(
        "--worktree",
        metavar="BRANCH",
        help="run in a git worktree of the workspace's repository, made if there is none yet",
    )
    for option, metavar, what in _LIMITS:
        parser.add_argument(f"--{option}", metavar=metavar, help=what)
    parser.add_argument("-n", "--name", metavar="NAME", help="what to call the run: a-z, 0-9, -")
    parser.add_argument(
        "-d", "--detach", action="store_true", help="start it in the background, and print its id"
    )
    add_quiet(parser)
    parser.add_argument(
        "--unfiltered",
        action="store_true",
        help="let what it prints set the clipboard and ask the terminal",
    )
    parser.add_argument("--trust", action="store_true", help="agree to the project's moat.yaml")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what the run would be, and start nothing"
    )
    parser.add_argument("--json", action="store_true", help="with --dry-run: as data")


def asked_of(args: argparse.Namespace, **more: Any) -> Asked:
    """What was typed, from the options that every run has."""
    from moat.planning.asked import Asked

    if args.json and not args.dry_run:
        raise UsageError("--json goes with --dry-run", hint="leave it out, or add --dry-run")
    return Asked(
        workspace=args.workspace,
        grants=tuple(args.grant),
        allow=tuple(args.allow_host),
        policy=args.policy,
        env=tuple(args.env),
        mounts=tuple(args.mount),
        allow_write=tuple(args.allow_write),
        worktree=args.worktree,
        limits={option: text for option, *_ in _LIMITS if (text := getattr(args, option))},
        name=args.name,
        detach=args.detach,
        quiet=args.quiet,
        unfiltered=args.unfiltered,
        trust=args.trust,
        dry_run=args.dry_run,
        as_json=args.json,
        **more,
    )


def split_at_dashes(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before the two dashes, and what behind them."""
    if "--" not in arguments:
        return arguments, []
    cut = arguments.index("--")
    return arguments[:cut], arguments[cut + 1 :]
