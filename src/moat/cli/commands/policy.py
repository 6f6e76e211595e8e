"""`moat policy groups`: the groups of hosts that rules can name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moat.cli.options import Parser, add_json, open_context
from moat.cli.output import say, show_json, show_table
from moat.errors import MoatError
from moat.planning.network import find_groups

EPILOG = """\
examples:
  moat policy groups            every group; package managers are asked for theirs
  moat policy groups npm pypi   two of them
"""


def main(arguments: list[str]) -> int:
    """Show each group; those that nobody knows the hosts of are said on stderr."""
    parser = Parser(
        "policy",
        "Show the groups of hosts that rules can name, such as @npm, and whose word each is.",
        usage="moat policy groups [GROUP ...]",
        epilog=EPILOG,
    )
    parser.add_argument("what", choices=("groups",), metavar="groups")
    parser.add_argument(
        "group", nargs="*", default=[], metavar="GROUP", help="only these, without their @"
    )
    add_json(parser)
    args = parser.parse_args(arguments)
    context = open_context()
    groups = find_groups(context.home, context.settings, Path.cwd())
    wanted = [name.removeprefix("@") for name in args.group]
    documents: list[dict[str, Any]] = []
    for name in wanted or groups.names:
        try:
            found = groups.find(name)
        except MoatError as error:
            if wanted:
                raise
            documents.append({"group": name, "hosts": [], "from": None, "error": error.message})
        else:
            hosts = [str(pattern) for pattern in found.hosts]
            documents.append({"group": name, "hosts": hosts, "from": found.origin, "error": None})
    if args.json:
        show_json(documents)
        return 0
    rows = [
        (f"@{document['group']}", document["from"], " ".join(document["hosts"]))
        for document in documents
        if document["error"] is None
    ]
    show_table(("GROUP", "FROM", "HOSTS"), rows)
    for document in documents:
        if document["error"] is not None:
            say(f"note: {document['error']}")
    return 0
