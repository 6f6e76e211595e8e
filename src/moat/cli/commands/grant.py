"""`moat grant`: store a credential, or list what is stored."""

from __future__ import annotations

import getpass
import os

from moat.cli.options import Context, Parser, add_json, open_context
from moat.cli.output import say, show_json, show_table, warn
from moat.errors import GrantError
from moat.providers.interface import GrantIO
from moat.providers.registry import get_provider, grant_names
from moat.vault.store import Store

EPILOG = """\
examples:
  moat grant openai     $OPENAI_API_KEY, or a prompt that shows nothing; asks OpenAI if it is good
  moat grant list       what is stored; never any part of a secret
"""


def main(arguments: list[str]) -> int:
    """Grant, or list."""
    parser = Parser("grant", "Store a credential, sealed, for runs to use.", epilog=EPILOG)
    parser.add_argument("name", metavar="NAME", help=f"one of: {', '.join(grant_names())}; or list")
    add_json(parser)
    args = parser.parse_args(arguments)
    if args.name == "list":
        return _list(open_context(), as_json=args.json)
    if args.json:
        parser.error("--json goes with: moat grant list")
    return _grant(args.name)


def _grant(name: str) -> int:
    provider = get_provider(name)
    context = open_context()
    ask = getpass.getpass if os.isatty(0) else None
    try:
        granted = provider.acquire(GrantIO(os.environ, context.settings.upstream, ask))
    except EOFError:
        raise GrantError("no key was given", hint=f"run: moat grant {name}") from None
    Store(context.home.credentials).put(granted.credential)
    for warning in granted.warnings:
        warn(warning)
    say(f"granted {provider.grant_ref}: the key from {granted.source} is stored, sealed")
    return 0


def _list(context: Context, *, as_json: bool) -> int:
    stored = Store(context.home.credentials).list()
    if as_json:
        show_json(
            [
                {
                    "grant": item.provider,
                    "created_at": item.created_at.isoformat() if item.created_at else None,
                    "problem": item.problem,
                }
                for item in stored
            ]
        )
        return 0
    if not stored:
        say("nothing is granted yet; run: moat grant openai")
        return 0
    rows = [
        (
            item.provider,
            f"{item.created_at.astimezone():%Y-%m-%d %H:%M}" if item.created_at else "-",
            item.problem or "ready",
        )
        for item in stored
    ]
    show_table(("GRANT", "SINCE", "STATE"), rows)
    return 0
