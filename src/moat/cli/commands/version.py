"""`moat version`: of Moat, and of what it runs."""

from __future__ import annotations

import platform

from moat.cli.options import Parser, add_json
from moat.cli.output import show_json
from moat.tools.catalogue import CODEX_CLI
from moat.version import __version__


def main(arguments: list[str]) -> int:
    """Print them."""
    parser = Parser("version", "Show versions.")
    add_json(parser)
    args = parser.parse_args(arguments)
    versions = {
        "moat": __version__,
        CODEX_CLI.name: CODEX_CLI.version,
        "python": platform.python_version(),
    }
    if args.json:
        show_json(versions)
    else:
        for name, version in versions.items():
            print(f"{name} {version}")
    return 0
