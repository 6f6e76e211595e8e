"""What `moat allow` and `moat deny` share: tell a live run, and store what holds always."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moat.cli.options import Parser, open_context
from moat.cli.output import say, warn
from moat.core.hosts import HostPattern
from moat.errors import MoatError, UsageError
from moat.planning.context import Context
from moat.run.command_socket import tell
from moat.run.finding import get_live_run, list_runs
from moat.run.record import LIVE, RunDirectory, RunRecord

if TYPE_CHECKING:
    from moat.run.deciding import Extent

_ONCE = {
    "allow": "the one that waits, or else the next",
    "deny": "what waits now, and nothing later",
}
_DONE = {"allow": "allowed", "deny": "denied"}


@dataclass(frozen=True, slots=True)
class _Typed:
    """What is to be allowed or denied: a host or @GROUP; of it, with `line`, some requests."""

    host: str
    line: str | None = None

    @property
    def group(self) -> str | None:
        return self.host[1:] if self.host.startswith("@") else None

    def __str__(self) -> str:
        return self.host if self.line is None else f"{self.host} {self.line}"


def change(action: str, description: str, epilog: str, arguments: list[str]) -> int:
    """Allow or deny a host, or some requests to it, as it was typed."""
    typed, run, extent = _parse(action, description, epilog, arguments)
    context = open_context()
    record = _find_run(context, run, needed=extent != "always")
    command: dict[str, Any] = {"do": action, "host": typed.host, "line": typed.line}
    if typed.group is not None:
        command |= {"group": typed.group, "hosts": _hosts_of(context, typed.group)}
    if action == "allow" and (told := _what_it_opens(typed.host)):
        warn(told)
    stored = None
    if extent == "always":
        stored = _store(context, action, typed.host)
    if record is None:
        say(f"no run is live; {_told(action, typed, extent, stored)}")
        return 0
    command |= {"extent": extent, "by": f"moat {action}"}
    try:
        reply = tell(RunDirectory(context.home.runs, record.run).root, command)
    except MoatError as error:
        raise failed(error, extent) from None
    say(f"run {record.run}: {_told(action, typed, extent, stored)}{_settled(reply)}")
    return 0


def _parse(
    action: str, description: str, epilog: str, arguments: list[str]
) -> tuple[_Typed, str | None, Extent]:
    """What, in which run, how far. Raises UsageError."""
    parser = Parser(
        action,
        description,
        usage=f"moat {action} [--run RUN] [--once | --always] HOST[:PORT] [METHOD /PATH]",
        epilog=epilog,
    )
    parser.add_argument("host", metavar="HOST[:PORT]", help="a host, *.DOMAIN, or a @GROUP of them")
    parser.add_argument("method", nargs="?", metavar="METHOD", help="only such requests, or *")
    parser.add_argument(
        "path", nargs="?", metavar="/PATH", help="only at this path; * and ** as in moat.yaml"
    )
    add_run(parser)
    add_extent(parser, request=_ONCE[action])
    args = parser.parse_intermixed_args(arguments)
    extent = extent_of(args)
    typed = _Typed(args.host, _line(parser, args.method, args.path))
    if typed.group is None:
        _check(args.host)
    elif extent == "once":
        parser.error(f"--once is for one host, and {typed.host} is a group")
    if typed.line is not None and extent == "always":
        raise UsageError(
            "--always is for a host as a whole",
            hint="write it into config.yaml, below network: "
            f'rules: [{{host: "{typed.host}", rules: ["{action} {typed.line}"]}}]',
        )
    return typed, args.run, extent


def _line(parser: Parser, method: str | None, path: str | None) -> str | None:
    """The requests that are meant, as a line about them has them. Raises UsageError."""
    if method is None:
        return None
    if path is None:
        parser.error(f"METHOD and /PATH go together, and there is only {method!r}")
    from moat.core.methods import METHODS, meant_method
    from moat.engine.rules import PathRule

    if meant := meant_method(method):
        raise UsageError(f"there is no method {method!r}", hint=f"did you mean {meant}?")
    try:
        line = PathRule.parse(f"allow {method} {path}")
    except ValueError as error:
        raise UsageError(
            str(error).removeprefix(f"{f'allow {method} {path}'!r}: "),
            hint=f"write a method and a path, such as: {parser.prog} api.example.com GET '/v1/**'",
        ) from None
    if line.method not in (*METHODS, "*"):
        warn(f"{line.method} is no method that Moat knows; it is taken as it stands")
    return f"{line.method} {line.path}"


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
    if action == "allow" and (group := _denying_group(context, host)) is not None:
        warn(
            f"@{group} stays denied in {context.home.config_file}, and {host} is in it: in runs to "
            f"come that decides, until {host} stands in front of it, below network: rules:"
        )
    return f"{'written to' if written else 'it stood already in'} {context.home.config_file}"


def _check(host: str) -> None:
    try:
        HostPattern.parse(host)
    except ValueError as error:
        raise UsageError(
            str(error),
            hint="write HOST, HOST:PORT or *.DOMAIN, such as github.com, or a @GROUP; for some "
            "requests alone a method and a path behind it",
        ) from None


def _denying_group(context: Context, host: str) -> str | None:
    """The denied group that a host is in, if it is; one that cannot be found out is none."""
    if host.startswith("@"):
        return None
    from moat.config.settings import load_settings
    from moat.core.hosts import Destination
    from moat.engine.rules import host_rule

    pattern = HostPattern.parse(host)
    name = f"any.{pattern.host}" if pattern.below else pattern.host
    place = Destination("https", name, pattern.port)
    for rule in load_settings(context.home).network.rules:
        if rule.group is None:
            if not rule.paths and host_rule(rule.host, "settings", rule.action).covers(place):
                return None  # it comes first
        elif rule.action == "deny":
            with contextlib.suppress(MoatError):
                hosts = _hosts_of(context, rule.group)
                if any(host_rule(each, "settings", "deny").covers(place) for each in hosts):
                    return rule.group
    return None


def _hosts_of(context: Context, group: str) -> list[str]:
    """The hosts of a group. Raises UsageError or ToolError."""
    from moat.planning.network import find_groups

    found = find_groups(context.home, context.settings, Path.cwd()).find(group)
    return [str(pattern) for pattern in found.hosts]


def _what_it_opens(host: str) -> str | None:
    from moat.planning.inside import what_it_opens

    return what_it_opens(host)


def _find_run(context: Context, given: str | None, *, needed: bool) -> RunRecord | None:
    """The live run that is meant; None if there is none, and none is needed. Raises UsageError."""
    runs = context.home.runs
    if given is None and not needed and not any(r.state in LIVE for r in list_runs(runs)):
        return None
    return get_live_run(runs, given, option="--run ")


def _told(action: str, typed: _Typed, extent: str, stored: str | None) -> str:
    how = {"once": "for one request", "run": "for this run", "always": "always"}[extent]
    return f"{typed} is {_DONE[action]} {how}" + (f" ({stored})" if stored else "")


def _settled(reply: dict[str, Any]) -> str:
    if not (count := int(reply.get("settled", 0))):
        return ""
    return (
        "; a request that waited has its answer"
        if count == 1
        else (f"; {count} requests that waited have their answer")
    )
