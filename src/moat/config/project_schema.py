"""What moat.yaml may say.

Whether a known agent, dependency or grant is meant, whoever plans the run finds out; here stands
what each may look like, so that no odd text comes near a command, a path or a header.
"""

from __future__ import annotations

import re
from typing import Literal

from moat.config.guard_schema import GUARD
from moat.config.limits_schema import LIMITS
from moat.config.network_schema import POLICY, RULES
from moat.config.nodes import Node, fault, place_of, quoted
from moat.config.project import (
    CodexProject,
    Project,
    ProjectMount,
    ProjectNetwork,
    RemoteAuth,
    RemoteServer,
    StdioServer,
)
from moat.config.schema import (
    BOOLEAN,
    Anything,
    Checked,
    Choice,
    Either,
    ListOf,
    MapOf,
    Record,
    Text,
    WordsOf,
)
from moat.config.texts import like
from moat.core.hosts import Destination

Mode = Literal["ro", "rw"]

_RUN_NAME_FORM = r"[a-z0-9][a-z0-9-]{0,40}"
# RFC 3986 section 2, less the fragment; what is not ASCII is written as xn-- and %XX.
_URL = r"https?://[A-Za-z0-9_.:\[\]-]+([/?][A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]*)?"
# What frames a request or names its place is not a credential's to set.
_FRAMING = frozenset(
    {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding",
     "upgrade"}
)  # fmt: skip


def _whole(text: str) -> str:
    if "\0" in text:
        raise ValueError("no program can be given text with a NUL in it")
    return text


def _something(text: str) -> str:
    if not text:
        raise ValueError("expected text, found nothing between the quotes")
    return _whole(text)


def _url(text: str) -> str:
    if "#" in text:
        raise ValueError(f"{quoted(text)} has a fragment (#), which no server is sent")
    scheme, _, rest = text.partition("://")
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise ValueError("a user or password in an address is readable in the box; use a grant")
    _URL_TEXT.parse(text)
    Destination.parse("https" if scheme == "https" else "http", authority)
    return text


def _header(text: str) -> str:
    if text.lower() in _FRAMING:
        raise ValueError(f"{quoted(text)} frames a request and cannot hold a credential")
    return _HEADER_TEXT.parse(text)


def _target(text: str) -> str:
    if not text.startswith("/") or not set(text.split("/")).isdisjoint({".", ".."}):
        raise ValueError(f"{quoted(text)} is not an absolute path in the box, such as /data")
    return _whole(text)


def _short_mount(text: str) -> ProjectMount:
    parts = text.split(":")
    mode = parts.pop() if len(parts) > 2 and parts[-1] in ("ro", "rw") else "ro"
    if len(parts) != 2 or not all(parts):
        raise ValueError(f"{quoted(text)} is not SOURCE:TARGET, SOURCE:TARGET:ro or …:rw")
    return ProjectMount(_whole(parts[0]), _target(parts[1]), mode == "rw")


def _mount(*, source: str, target: str, mode: Mode = "ro") -> ProjectMount:
    return ProjectMount(source, target, mode == "rw")


def _no_credential_in_the_clear(server: RemoteServer, node: Node) -> None:
    if server.auth is not None and not server.url.startswith("https://"):
        raise fault(
            place_of(node, "url"),
            "a credential never goes over plain http",
            hint="write https://, or leave auth out",
        )


def _one_server_a_name(project: Project, node: Node) -> None:
    for index, server in enumerate(project.mcp):
        if server.name in project.codex.mcp:
            remote = place_of(node, "mcp", index, "name")
            local = place_of(node, "codex", "mcp", server.name)
            first, second = sorted((remote, local), key=lambda place: (place.line, place.column))
            raise fault(
                second,
                f"there is an MCP server {quoted(server.name)} on line {first.line} already",
                hint="mcp and codex.mcp share their names; give one of them another",
            )


_WORD = Text(_whole, r"[^\u0000]*")
_SOMETHING = Text(_something, r"[^\u0000]+")
_URL_TEXT = like(_URL, "an address such as https://mcp.example.com/mcp")
_HEADER_TEXT = like(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", "the name of a header")
_VARIABLE = like(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable")
_ENV = MapOf(_VARIABLE, _WORD)
_GRANT = like(
    r"[a-z0-9][a-z0-9_-]{0,63}(:[a-z0-9][a-z0-9_-]{0,63})?",
    "the name of a grant, such as openai or mcp:linear",
)
_RUN_NAME = like(
    _RUN_NAME_FORM,
    "a name for runs: up to 41 small letters, digits and dashes, no dash in front",
)
_AGENT = like(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "the name of an agent, such as codex")
# No part may begin with a dot or a dash: it would be a path upwards, or an option.
_DEPENDENCY = like(
    r"([a-z][a-z0-9-]{0,31}:@?[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}(/[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}){0,7}"
    r"|[A-Za-z0-9_][A-Za-z0-9._+-]{0,63})"
    r"(@[A-Za-z0-9_][A-Za-z0-9._+-]{0,63})?",
    "a dependency: NAME, NAME@VERSION or KIND:NAME@VERSION",
)
_SERVER_NAME = like(
    r"[A-Za-z0-9_-]{1,64}", "the name of a server: up to 64 letters, digits, - and _"
)

_MOUNT = Either(
    Text(_short_mount, r"[^:\u0000]+:/[^:\u0000]*(:(ro|rw))?"),
    Record(
        _mount,
        {
            "source": _SOMETHING,
            "target": Text(_target, r"/[^\u0000]*"),
            "mode": Choice(("ro", "rw")),
        },
        frozenset({"source", "target"}),
    ),
)

_REMOTE_SERVER = Checked(
    Record(
        RemoteServer,
        {
            "name": _SERVER_NAME,
            "url": Text(_url, _URL),
            "auth": Record(
                RemoteAuth,
                {"grant": _GRANT, "header": Text(_header, _HEADER_TEXT.pattern)},
                frozenset({"grant"}),
            ),
        },
        frozenset({"name", "url"}),
    ),
    _no_credential_in_the_clear,
)

_STDIO_SERVER = Record(
    StdioServer,
    {
        "command": _SOMETHING,
        "args": ListOf(_WORD),
        "env": _ENV,
        "grant": _GRANT,
        "cwd": _SOMETHING,
    },
    frozenset({"command"}),
)

_CODEX = Record(
    CodexProject,
    {
        "mcp": MapOf(_SERVER_NAME, _STDIO_SERVER),
        "sync_logs": BOOLEAN,
        "model": _SOMETHING,
        "config": MapOf(_SOMETHING, Anything()),
        "write_mcp_json": BOOLEAN,
    },
)

NETWORK = Record(ProjectNetwork, {"policy": POLICY, "rules": RULES}, older={"allow": "rules"})
"""What may stand below `network`, and in a file of its own that `moat proxy --policy` names."""

PROJECT = Checked(
    Record(
        Project,
        {
            "name": _RUN_NAME,
            "agent": _AGENT,
            "dependencies": ListOf(_DEPENDENCY),
            "grants": ListOf(_GRANT),
            "env": _ENV,
            "network": NETWORK,
            "mounts": ListOf(_MOUNT, unique="target"),
            "limits": LIMITS,
            "guard": GUARD,
            "command": WordsOf(_SOMETHING, _WORD),
            "mcp": ListOf(_REMOTE_SERVER, unique="name"),
            "codex": _CODEX,
        },
    ),
    _one_server_a_name,
)


def is_run_name(text: str) -> bool:
    """Whether a run may be called this."""
    return re.fullmatch(_RUN_NAME_FORM, text) is not None
