"""`moat grant`: store a credential, or list what is stored."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from moat.cli.bindings import InOrder, grouped
from moat.cli.options import Context, Parser, add_json, open_context
from moat.cli.output import say, show_json, show_table, warn
from moat.errors import GrantError, UsageError
from moat.providers.interface import CredentialProvider, GrantIO, GrantOption
from moat.providers.registry import check_free, family_names, get_provider, grant_names
from moat.run.environment import check_variable
from moat.vault.store import Store

EPILOG = """\
examples:
  moat grant openai     $OPENAI_API_KEY, or a prompt that shows nothing; asks OpenAI if it is good
  moat grant openai --organization org-… --project proj_…      what the key is used for
  moat grant mcp:linear --url https://mcp.linear.app/mcp        the token of an MCP server
  moat grant header mine --host api.example.com                 any credential, for any host
  moat grant list       what is stored; never any part of a secret

moat grant NAME --help shows the options of one.
"""
# More than any header can hold.
_MOST_PIPED = 64 * 1024


def main(arguments: list[str]) -> int:
    """Grant, or list."""
    arguments = _with_family(arguments)
    parser = Parser("grant", "Store a credential, sealed, for runs to use.", epilog=EPILOG)
    known = ", ".join((*grant_names(), *(f"{family}:NAME" for family in family_names())))
    parser.add_argument("name", metavar="NAME", help=f"one of: {known}; or list")
    parser.add_argument(
        "--no-validate", action="store_true", help="do not ask the provider whether it is good"
    )
    add_json(parser)
    named = next((word for word in arguments if not word.startswith("-")), "list")
    provider = None if named == "list" else get_provider(named)
    _add_options(parser, provider.grant_options if provider else ())
    args = parser.parse_args(arguments)
    if provider is None:
        if args.no_validate:
            parser.error("--no-validate goes with: moat grant NAME")
        return _list(open_context(), as_json=args.json)
    if args.json:
        parser.error("--json goes with: moat grant list")
    check_free(provider)
    plain = [option.name for option in provider.grant_options if not option.binding]
    options = {name: getattr(args, name.replace("-", "_")) for name in plain}
    given = {name: value for name, value in options.items() if value is not None}
    opening = next((option.name for option in provider.grant_options if option.binding), "")
    bindings = grouped(args.bindings, opening)
    return _grant(args.name, provider, given, bindings, validate=not args.no_validate)


def _with_family(arguments: list[str]) -> list[str]:
    """`header mine` as `header:mine`, and the same for every other family."""
    match arguments:
        case [family, *rest] if family in family_names():
            if rest and not rest[0].startswith("-"):
                return [f"{family}:{rest[0]}", *rest[1:]]
            if "--help" in rest or "-h" in rest:
                return [f"{family}:name", *rest]
            raise UsageError(
                f"moat grant {family}: a name of its own is missing",
                hint=f"see: moat grant {family} NAME --help",
            )
    return arguments


def _add_options(parser: Parser, options: Sequence[GrantOption]) -> None:
    """Let the parser take a provider's options."""
    parser.set_defaults(bindings=[])
    for option in options:
        how: dict[str, Any] = {"action": InOrder, "dest": "bindings"} if option.binding else {}
        parser.add_argument(f"--{option.name}", metavar=option.metavar, help=option.help, **how)


def _piped() -> str:
    given = sys.stdin.buffer.read(_MOST_PIPED + 1)
    if len(given) > _MOST_PIPED:
        raise GrantError(
            "what comes on standard input is no secret: it is longer than any header",
            hint="see what is piped in",
        )
    return given.decode(errors="replace")


def _grant(
    name: str,
    provider: CredentialProvider,
    options: dict[str, str],
    bindings: tuple[Mapping[str, str], ...],
    *,
    validate: bool,
) -> int:
    context = open_context()
    at_a_terminal = os.isatty(0)
    io = GrantIO(
        os.environ,
        context.settings.upstream,
        getpass.getpass if at_a_terminal else None,
        validate,
        options,
        bindings,
        None if at_a_terminal else _piped,
    )
    try:
        granted = provider.grant(io)
    except EOFError:
        raise GrantError("no key was given", hint=f"run: moat grant {name}") from None
    for variable in provider.container_env(granted.credential.facts):
        check_variable(variable, {})
    Store(context.home.credentials).put(granted.credential)
    for warning in granted.warnings:
        warn(warning)
    say(f"granted {provider.grant_ref}: the secret from {granted.source} is stored, sealed")
    for note in granted.notes:
        say(note)
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
            " ".join(item.metadata.values()).replace("\n", ", ") or "-",
        )
        for item in stored
    ]
    show_table(("GRANT", "SINCE", "STATE", "FOR"), rows)
    return 0
