"""What a project asks for, in plain words, for the person who decides. Pure.

Each thing asked for is one entry that can be understood without the others, so that two files can
be compared entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from moat.config.network import NetworkRule
from moat.config.project import Project, ProjectMount, RemoteServer, StdioServer
from moat.config.shown import in_quotes, shown, value_shown
from moat.core.hosts import Destination, HostPattern
from moat.core.limits import LimitName, limit_text

Entry: TypeAlias = tuple[str, ...]
"""The lines of one thing asked for."""

# What prints lines may cut long ones, and nothing may be cut off what is decided about.
_MAX_LINE = 1000


def describe(project: Project) -> tuple[str, ...]:
    """Return lines that say everything the project asks for, safe to print."""
    return tuple(line for group in _groups(project) for entry in group for line in entry)


def describe_change(before: Project | None, after: Project) -> tuple[str, ...]:
    """Return lines that say what `after` asks for, and what `before` did and it does not.

    They begin with `+ ` for what is new, `- ` for what is gone and two spaces for the rest.
    """
    groups = _groups(after)
    before_groups = [()] * len(groups) if before is None else _groups(before)
    lines: list[str] = []
    for olds, news in zip(before_groups, groups, strict=True):
        had, has = set(olds), set(news)
        lines += (f"- {line}" for entry in olds if entry not in has for line in entry)
        for entry in news:
            mark = " " if entry in had else "+"
            lines += (f"{mark} {line}" for line in entry)
    return tuple(lines)


def _groups(project: Project) -> list[tuple[Entry, ...]]:
    """What is asked for by sort, the most far-reaching first."""
    sorts: tuple[Iterable[Entry], ...] = (
        _network(project),
        map(_mount, project.mounts),
        map(_unguarded, project.guard),
        (_entry(f"uses the credential {shown(grant)}") for grant in project.grants),
        map(_remote_server, project.mcp),
        _stdio_servers(project),
        _program(project),
        (_entry(_limit(name, amount)) for name, amount in project.limits),
        (_entry(f"installs {shown(name)}") for name in project.dependencies),
        (
            _entry(f"sets {shown(name)} to {in_quotes(value)}")
            for name, value in project.env.items()
        ),
        _codex(project),
    )
    return [tuple(entries) for entries in sorts]


_POLICIES = {
    None: "reaches its agent's hosts and those named here; else your own network.policy holds",
    "strict": "reaches no host besides its agent's and those named here (strict)",
    "ask": "asks you about every host that is not named here (ask)",
    "permissive": "REACHES EVERY PUBLIC HOST, and can send there whatever it reads (permissive)",
}


def _network(project: Project) -> Iterator[Entry]:
    yield _entry(_POLICIES[project.network.policy])
    for rule in project.network.rules:
        yield _rule(rule)


def _rule(rule: NetworkRule) -> Entry:
    if rule.action == "deny":
        return _entry(f"never reaches {shown(rule.host)}")
    if rule.group:
        whose = " (the hosts of that group on this machine)"
    else:
        whose = _whose(HostPattern.parse(rule.host))
    if not rule.paths:
        return _entry(f"reaches {shown(rule.host)}{whose}")
    entry = _entry(f"reaches {shown(rule.host)} for what the first of these allows{whose}")
    for line in rule.paths:
        entry += _entry(f"  {in_quotes(line)}")
    return entry


def _mount(mount: ProjectMount) -> Entry:
    way = f"{shown(mount.source)} as {shown(mount.target)}"
    if mount.writable:
        return _entry(f"mounts {way}, AND CAN CHANGE IT")
    return _entry(f"mounts {way}, read-only")


def _unguarded(path: str) -> Entry:
    return _entry(f"CAN CHANGE {shown(path)} in the workspace, which programs of this machine obey")


def _remote_server(server: RemoteServer) -> Entry:
    auth = server.auth
    credential = (
        "without a credential"
        if auth is None
        else f"with the credential {shown(auth.grant)} in the header {shown(auth.header)}"
    )
    return _entry(
        f"uses the MCP server {shown(server.name)} at {shown(server.url)}{_whose_url(server.url)}, "
        + credential
    )


def _stdio_servers(project: Project) -> Iterator[Entry]:
    for name, server in project.codex.mcp.items():
        yield _stdio_server(name, server)


def _stdio_server(name: str, server: StdioServer) -> Entry:
    command = _words((server.command, *server.args))
    entry = _entry(f"runs the MCP server {shown(name)} in the box: {command}")
    if server.cwd is not None:
        entry += _entry(f"  in {shown(server.cwd)}")
    if server.grant is not None:
        entry += _entry(f"  logged in with the credential {shown(server.grant)}")
    for variable, value in server.env.items():
        entry += _entry(f"  with {shown(variable)} set to {in_quotes(value)}")
    return entry


_USES: dict[LimitName, str] = {
    "wall": "time",
    "memory": "memory",
    "processes": "processes",
    "cpus": "processors",
    "disk": "private disk space",
    "files": "open files of a process",
}


def _limit(name: LimitName, amount: float | int | None) -> str:
    if amount is None:
        return f"has NO LIMIT on {_USES[name]}"
    return f"limits {_USES[name]} to {limit_text(name, amount)}"


def _program(project: Project) -> Iterator[Entry]:
    if project.agent is not None:
        yield _entry(f"runs the agent {shown(project.agent)}")
    if project.command:
        yield _entry(f"runs the command {_words(project.command)}")
    if project.name is not None:
        yield _entry(f"calls its runs {shown(project.name)}")


def _codex(project: Project) -> Iterator[Entry]:
    codex = project.codex
    if codex.model is not None:
        yield _entry(f"has Codex use the model {shown(codex.model)}")
    for name, value in _settings("", codex.config):
        yield _entry(f"sets {name} to {value} in Codex's settings")
    if not codex.sync_logs:
        yield _entry("does not keep Codex's sessions")
    if codex.write_mcp_json:
        yield _entry("writes its MCP servers to .mcp.json in the workspace")


def _settings(above: str, value: Any) -> Iterator[tuple[str, str]]:
    """The settings of a table and of those in it, by their dotted names."""
    for name, below in value.items():
        dotted = f"{above}{shown(name) if '.' not in name else in_quotes(name)}"
        if isinstance(below, dict) and below:
            yield from _settings(dotted + ".", below)
        else:
            yield dotted, value_shown(below)


def _words(words: Iterable[str]) -> str:
    return " ".join(map(shown, words))


def _whose_url(url: str) -> str:
    authority = url.partition("://")[2].split("/")[0].split("?")[0]
    destination = Destination.parse("https", authority)
    return _whose(HostPattern(destination.host, destination.port))


def _whose(pattern: HostPattern) -> str:
    return " (ON YOUR MACHINE OR YOUR NETWORK)" if pattern.is_local_service else ""


def _entry(text: str) -> Entry:
    pieces = range(0, len(text), _MAX_LINE)
    return tuple(("    " if start else "") + text[start : start + _MAX_LINE] for start in pieces)
