"""The project's own keys for Codex's config.toml, beside those that Moat settles."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from moat.errors import ConfigError

_BY_OPTION = "how far Codex may go is said at the start: moat codex, or moat codex --noyolo"
_BY_SERVERS = "name MCP servers under codex.mcp, and remote ones under mcp"
_BY_MOAT = "leave it out: Moat sets it so that Codex works in the box"

# What Moat settles, with what to do instead. A path below a table leaves the table's other keys.
_SETTLED = {
    "approval_policy": _BY_OPTION,
    "sandbox_mode": _BY_OPTION,
    "model": "use codex.model, or moat codex --model",
    "mcp_servers": _BY_SERVERS,
    # Each would come in over keys of the same file.
    "profile": "write the keys themselves, without a profile",
    "profiles": "write the keys themselves, without a profile",
    "projects": _BY_MOAT,
    "shell_environment_policy": "use env for variables; all of the box's environment is handed on",
    "cli_auth_credentials_store": _BY_MOAT,
    "forced_login_method": _BY_MOAT,
    "check_for_update_on_startup": _BY_MOAT,
    "analytics.enabled": _BY_MOAT,
    "features.api_key_model_discovery": _BY_MOAT,
    "features.plugins": _BY_MOAT,
    "features.daemon_auto_start": _BY_MOAT,
    "features.unbounded_connection_retries": _BY_MOAT,
}

_INTEGERS = range(-(2**63), 2**63)  # TOML 1.0, section Integer


def with_own_keys(settled: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Moat's tables with the project's keys in them.

    Raises ConfigError, naming the key, for one that Moat settles or that TOML cannot hold.
    """
    for path, instead in _SETTLED.items():
        _check_left_alone(own, path.split("."), instead)
    for key in own:
        if isinstance(key, str) and "." in key:
            raise _refused(key, "has a dot in it", "write tables as mappings, one below the other")
    return _merged(settled, _writable_table(own, ()))


def _check_left_alone(own: Any, names: list[str], instead: str) -> None:
    at = own
    for depth, name in enumerate(names):
        if not isinstance(at, Mapping):
            raise _refused(".".join(names[:depth]), "must be a mapping of keys", "see codex.config")
        if name not in at:
            return
        at = at[name]
    raise _refused(".".join(names), "is settled by Moat", instead)


def _merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Tables key by key; what is no table on both sides is theirs."""
    both = dict(ours)
    for name, value in theirs.items():
        before = both.get(name)
        tables = isinstance(before, Mapping) and isinstance(value, Mapping)
        both[name] = _merged(before, value) if tables else value  # type: ignore[arg-type]
    return both


def _writable_table(table: Mapping[Any, Any], path: tuple[str, ...]) -> dict[str, Any]:
    return dict(_writable_pairs(table, path))


def _writable_pairs(table: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if not isinstance(name, str):
            where = ".".join((*path, str(name)))
            raise _refused(where, "is a key that is no text", "put it in quotes")
        yield _writable(name, (*path, name)), _writable(value, (*path, name))


def _writable(value: Any, path: tuple[str, ...]) -> Any:
    """The value in the types a TOML writer takes. Raises ConfigError."""
    name = ".".join(path)
    match value:
        case Mapping():
            return _writable_table(value, path)
        case list() | tuple():
            return [_writable(item, path) for item in value]
        case str() if not _is_unicode(value):
            raise _refused(ascii(name), "holds what is no text", "write it in UTF-8")
        case int() if value not in _INTEGERS:
            raise _refused(name, "is a number of more than 64 bits", "TOML has no such numbers")
        case str() | int() | float() | datetime.date() | datetime.time():
            return value
        case None:
            raise _refused(name, "has no value", "give it one, or leave it out: TOML has no null")
    kind = type(value).__name__
    raise _refused(name, f"is a {kind}", "TOML holds text, numbers, booleans, lists and tables")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _refused(key: str, what: str, instead: str) -> ConfigError:
    return ConfigError(f"codex.config: {key} {what}", hint=instead)
