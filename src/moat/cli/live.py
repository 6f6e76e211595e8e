"""What `moat allow` and `moat deny` share: tell a live run, and store what holds always."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from moat.cli.options import Context, Parser, open_context
from moat.cli.output import say
from moat.core.hosts import HostPattern
from moat.errors import MoatError, UsageError
from moat.run.command_socket import tell
from moat.run.record import LIVE, RunDirectory, RunRecord, get_live_run, list_runs

if TYPE_CHECKING:
    from moat.run.deciding import Extent

_ONCE = {
    "allow": "the one that waits, or else the next",
    "deny": "what waits now, and nothing later",
}
_DONE = {"allow": "allowed", "deny": "denied"}


def change(action: str, description: str, epilog: str, arguments: list[str]) -> int:
    """Allow or deny a host as it was typed."""
    parser = Parser(action, description, epilog=epilog)
    parser.add_argument("host", metavar="HOST[:PORT]", help="a host, or *.DOMAIN")
    add_run(parser)
    add_extent(parser, request=_ONCE[action])
    args = parser.parse_args(arguments)
    _check(args.host)
    extent = extent_of(args)
    context = open_context()
    record = _find_run(context, args.run, needed=extent != "always")
    stored = None
    if extent == "always":
        stored = _store(context, action, args.host)
    if record is None:
        say(f"no run is live; {_told(action, args.host, extent, stored)}")
        return 0
    command = {"do": action, "host": args.host, "extent": extent, "by": f"moat {action}"}
    try:
        reply = tell(RunDirectory(context.home.runs, record.run).root, command)
    except MoatError as error:
        raise failed(error, extent) from None
    say(f"run {record.run}: {_told(action, args.host, extent, stored)}{_settled(reply)}")
    return 0


def add_run(parser: argparse.ArgumentParser) -> None:
    """The option --run."""
    parser.add_argument(
        "--run", metavar="RUN", help="which live run: id, its beginning, or name (the only one)"
    )


def add_extent(parser: argparse.ArgumentParser, *, request: str) -> None:
    """How far a decision reaches; without an option, to the end of the run."""
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--once", action="store_true", help=f"just once: {request}")
    extent.add_argument(
        "--always", action="store_true", help="for this run, and in config.yaml for all to come"
    )


def extent_of(args: argparse.Namespace) -> Extent:
    """How far it was said to reach."""
    return "once" if args.once else "always" if args.always else "run"


def store_always(context: Context, action: str, host: str) -> bool:
    """Write into config.yaml what holds always; False if it stands there. Raises MoatError."""
    from moat.config.settings_edit import allow_always, deny_always

    store = allow_always if action == "allow" else deny_always
    return store(context.home, host)


def failed(error: MoatError, extent: str) -> MoatError:
    """Why a run could not be told, with what was done all the same."""
    if extent != "always":
        return error
    return MoatError(f"{error.message}; for runs to come it is stored", hint=error.hint)


def _store(context: Context, action: str, host: str) -> str:
    written = store_always(context, action, host)
    return f"{'written to' if written else 'it stood already in'} {context.home.config_file}"


def _check(host: str) -> None:
    try:
        HostPattern.parse(host)
    except ValueError as error:
        raise UsageError(
            str(error), hint="write HOST, HOST:PORT or *.DOMAIN, such as github.com"
        ) from None


def _find_run(context: Context, given: str | None, *, needed: bool) -> RunRecord | None:
    """The live run that is meant; None if there is none, and none is needed. Raises UsageError."""
    runs = context.home.runs
    if given is None and not needed and not any(r.state in LIVE for r in list_runs(runs)):
        return None
    return get_live_run(runs, given)


def _told(action: str, host: str, extent: str, stored: str | None) -> str:
    how = {"once": "for one request", "run": "for this run", "always": "always"}[extent]
    return f"{host} is {_DONE[action]} {how}" + (f" ({stored})" if stored else "")


def _settled(reply: dict[str, Any]) -> str:
    if not (count := int(reply.get("settled", 0))):
        return ""
    return (
        "; a request that waited has its answer"
        if count == 1
        else (f"; {count} requests that waited have their answer")
    )
