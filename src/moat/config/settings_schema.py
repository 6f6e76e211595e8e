"""What config.yaml may say."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moat.config.guard_schema import GUARD
from moat.config.limits_schema import LIMITS
from moat.config.network_schema import GROUP_NAME, HOST, POLICY, RULES
from moat.config.nodes import quoted
from moat.config.schema import Boolean, Choice, Integer, ListOf, MapOf, Record, Text
from moat.config.settings import HostPort, Network, Settings, TerminalSettings, Upstream
from moat.config.texts import HOST_PATTERN
from moat.core.hosts import parse_host_port
from moat.files import open_trusted_file
from moat.terminal.keys import parse_detach_keys

# RFC 7468 section 5.
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
# A system's own bundle of roots has some 200 KiB.
_MAX_CA_BYTES = 4 << 20


def _ca_file(text: str) -> Path:
    """Take a file that says whom to trust with every credential, so others may not change it."""
    if not text.startswith(("/", "~/")):
        raise ValueError(f"{quoted(text)} must be an absolute path or begin with ~/")
    path = Path(os.path.expanduser(text))  # noqa: PTH111  Path's own raises when HOME is unset
    if not path.is_absolute():
        raise ValueError(f"{quoted(text)}: nothing says where ~ is; write an absolute path")
    try:
        with open_trusted_file(path) as file:
            pem = file.read(_MAX_CA_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{quoted(text)} cannot be read: {reason}") from None
    if len(pem) > _MAX_CA_BYTES:
        raise ValueError(f"{quoted(text)} is larger than {_MAX_CA_BYTES >> 20} MiB")
    if not _CERTIFICATE.search(pem):
        raise ValueError(f"{quoted(text)} has no PEM certificate in it")
    return path


def _upstream(*, connect_to: Mapping[HostPort, HostPort] | None = None, **others: Any) -> Upstream:
    return Upstream(connect_to=tuple((connect_to or {}).items()), **others)


def _network(*, groups: Mapping[str, tuple[str, ...]] | None = None, **others: Any) -> Network:
    return Network(groups=tuple((groups or {}).items()), **others)


def _detach_keys(text: str) -> str:
    parse_detach_keys(text)
    return text


_HOST_PORT = Text(parse_host_port)

SETTINGS = Record(
    Settings,
    {
        "upstream": Record(
            _upstream,
            {
                "ca_file": Text(_ca_file),
                "connect_to": MapOf(_HOST_PORT, _HOST_PORT),
                "idle_timeout": Integer(1, 86_400),
            },
        ),
        "network": Record(
            _network,
            {
                "policy": POLICY,
                "allow": ListOf(HOST),
                "rules": RULES,
                "groups": MapOf(GROUP_NAME, ListOf(HOST_PATTERN)),
                "ask_timeout": Integer(1, 86_400),
            },
        ),
        "trust": Choice(("ask", "always")),
        "terminal": Record(
            TerminalSettings, {"detach_keys": Text(_detach_keys), "filter": Boolean()}
        ),
        "limits": LIMITS,
        "guard": GUARD,
    },
)
