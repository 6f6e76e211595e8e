"""`moat grant`: store a credential, or list what is stored."""

from __future__ import annotations

import getpass
import os

from moat.cli.options import Context, Parser, add_json, open_context
from moat.cli.output import say, show_json, show_table, warn
from moat.errors import GrantError
from moat.providers.interface import CredentialProvider, GrantIO
from moat.providers.registry import get_provider, grant_names
from moat.vault.store import Store

EPILOG = """\
examples:
  moat grant openai     $OPENAI_API_KEY, or a prompt that shows nothing; asks OpenAI if it is good
  moat grant openai --organization org-… --project proj_…      what the key is used for
  moat grant mcp:linear --url https://mcp.linear.app/mcp        the token of an MCP server
  moat grant list       what is stored; never any part of a secret

moat grant NAME --help shows the options of one.
"""


def main(arguments: list[str]) -> int:
    """Grant, or list."""
    parser = Parser("grant", "Store a credential, sealed, for runs to use.", epilog=EPILOG)
    known = ", ".join(grant_names())
    parser.add_argument("name", metavar="NAME", help=f"one of: {known}, mcp:SERVER; or list")
    parser.add_argument(
        "--no-validate", action="store_true", help="do not ask the provider whether it is good"
    )
    add_json(parser)
    named = next((word for word in arguments if not word.startswith("-")), "list")
    provider = None if named == "list" else get_provider(named)
    for option in provider.grant_options if provider else ():
        parser.add_argument(f"--{option.name}", metavar=option.metavar, help=option.help)
    args = parser.parse_args(arguments)
    if provider is None:
        if args.no_validate:
            parser.error("--no-validate goes with: moat grant NAME")
        return _list(open_context(), as_json=args.json)
    if args.json:
        parser.error("--json goes with: moat grant list")
    options = {option.name: getattr(args, option.name) for option in provider.grant_options}
    given = {name: value for name, value in options.items() if value is not None}
    return _grant(args.name, provider, given, validate=not args.no_validate)


def _grant(
    name: str, provider: CredentialProvider, options: dict[str, str], *, validate: bool
) -> int:
    context = open_context()
    ask = getpass.getpass if os.isatty(0) else None
    io = GrantIO(os.environ, context.settings.upstream, ask, validate, options)
    try:
        granted = provider.grant(io)
    except EOFError:
        raise GrantError("no key was given", hint=f"run: moat grant {name}") from None
    Store(context.home.credentials).put(granted.credential)
    for warning in granted.warnings:
        warn(warning)
    say(f"granted {provider.grant_ref}: the secret from {granted.source} is stored, sealed")
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
                    "metadata": dict(item.metadata),
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
            " ".join(item.metadata.values()) or "-",
        )
        for item in stored
    ]
    show_table(("GRANT", "SINCE", "STATE", "FOR"), rows)
    return 0
