"""`moat grant`: store a credential, or list what is stored."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from moat.cli.bindings import InOrder, grouped
from moat.cli.options import Parser, add_json, open_context
from moat.cli.output import say, show_json, show_table, warn
from moat.errors import GrantError, MoatError, UsageError
from moat.planning.context import Context
from moat.providers.interface import CredentialProvider, GrantIO, GrantOption
from moat.providers.registry import check_free, family_names, get_provider, grant_names
from moat.run.environment import check_variable
from moat.vault.credential import Credential
from moat.vault.store import Store

EPILOG = """\
examples:
  moat grant openai     $OPENAI_API_KEY, or a prompt that shows nothing; asks OpenAI if it is good
  moat grant openai --organization org-… --project proj_…      what the key is used for
  moat grant mcp:linear --url https://mcp.linear.app/mcp        the token of an MCP server
  moat grant header mine --host api.example.com                 any credential, for any host
  moat grant header mine --host api.example.com --header X-Api-Key --from-env TOKEN
  moat grant list       what is stored; never any part of a secret

moat grant NAME --help shows the options of one.
"""
# More than any header can hold.
_MOST_PIPED = 64 * 1024
_COLUMNS = 72


def main(arguments: list[str]) -> int:
    """Grant, or list."""
    arguments = _with_family(arguments)
    named = next((word for word in arguments if not word.startswith("-")), "list")
    provider = None if named == "list" else get_provider(named)
    parser = _parser(named, provider)
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


def _parser(named: str, provider: CredentialProvider | None) -> Parser:
    """The parser of all, or of one with its own options."""
    if provider is None:
        usage = "moat grant NAME [--no-validate] [OPTIONS OF NAME]\n       moat grant list [--json]"
        known = ", ".join((*grant_names(), *(f"{family}:NAME" for family in family_names())))
        which, what, epilog = "NAME", f"one of: {known}; or list", EPILOG
    else:
        _, colon, _ = named.partition(":")
        family = provider.grant_ref.partition(":")[0]
        which = "NAME" if colon else named
        what = f"{provider.description}; the name is your own" if colon else provider.description
        usage = _usage(_words(family) if colon else named, provider.grant_options)
        lines = (line for line in EPILOG.splitlines() if line.startswith(f"  moat grant {family}"))
        epilog = "\n".join(("examples:", *lines))
    description = "Store a credential, sealed, for runs to use."
    parser = Parser("grant", description, usage=usage, epilog=epilog)
    parser.add_argument("name", metavar=which, help=what)
    parser.add_argument(
        "--no-validate", action="store_true", help="do not ask the provider whether it is good"
    )
    add_json(parser, hidden=provider is not None)
    _add_options(parser, provider.grant_options if provider else ())
    return parser


def _words(family: str) -> str:
    return "header NAME" if family == "header" else f"{family}:NAME"


def _usage(words: str, options: Sequence[GrantOption]) -> str:
    """How one is granted: first where it goes, which begins again with each such place."""
    bindings = [option for option in options if option.binding]
    parts = ["moat grant", words]
    if bindings:
        first, *others = bindings
        parts += [f"--{first.name} {first.metavar}", *map(_optional, others), f"[--{first.name} …]"]
    parts += [_optional(option) for option in options if not option.binding]
    lines = [""]
    for part in (*parts, "[--no-validate]"):
        if len(lines[-1]) + len(part) > _COLUMNS:
            lines.append("          ")
        lines[-1] += f" {part}" if lines[-1] else part
    return "\n".join(lines)


def _optional(option: GrantOption) -> str:
    return f"[--{option.name} {option.metavar}]"


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
    store = Store(context.home.credentials)
    replaced = _replaced(store, granted.credential)
    store.put(granted.credential)
    for warning in granted.warnings:
        warn(warning)
    say(f"granted {provider.grant_ref}: the secret from {granted.source} is stored, sealed")
    if replaced is not None:
        say(f"it replaces {replaced}; runs that hold that one keep it to their end")
    for note in granted.notes:
        say(note)
    return 0


def _replaced(store: Store, new: Credential) -> str | None:
    """What is known of the one that is stored now; None if there is none."""
    if not store.has(new.provider):
        return None
    try:
        old = store.get(new.provider)
    except MoatError:
        return "one that could not be opened"
    told = f"the one stored on {old.created_at.astimezone():%Y-%m-%d at %H:%M}"
    where = old.metadata.get("to")
    if where and where != new.metadata.get("to"):
        told += f", which went to {', '.join(where.splitlines())}"
    return told


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
