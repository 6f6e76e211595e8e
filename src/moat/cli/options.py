"""What the commands share: the parser, where Moat's files are, the person's settings."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import NoReturn

from moat.config.paths import Home, ensure_home, moat_home
from moat.config.settings import Settings, load_settings
from moat.errors import UsageError


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

            near = difflib.get_close_matches(unknown, self._option_string_actions, n=1)
            hint = f"did you mean {near[0]}? {hint}" if near else hint
        raise UsageError(f"{self.prog}: {message}", hint=hint)


@dataclass(frozen=True, slots=True)
class Context:
    """Where Moat keeps its things, and what the person has set."""

    home: Home
    settings: Settings


def find_home() -> Home:
    """Moat's directory; nothing is made or read."""
    return Home(moat_home(os.environ))


def open_context() -> Context:
    """Moat's directory, made if need be, and the settings in it."""
    home = find_home()
    ensure_home(home)
    return Context(home, load_settings(home))


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option --json."""
    parser.add_argument("--json", action="store_true", help="print data for a program")


def add_network(parser: argparse.ArgumentParser) -> None:
    """The option --allow-host."""
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="let the run reach a host, or *.DOMAIN; may be repeated",
    )
