"""What a person's own config.toml and auth.json are, without what is in them."""

from __future__ import annotations

import json
import os
import shlex
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moat.core.finding import Finding
from moat.providers.codex.doctor_login import describe_login

# Far above what Codex writes: tens of kilobytes with many projects.
_MAX_BYTES = 1024 * 1024
_STORES = ("auto", "ephemeral", "file", "keyring", "secrets")


@dataclass(frozen=True, slots=True)
class _File:
    """A regular file as it was read: all of it, its permission bits, and whether it is ours."""

    content: bytes
    mode: int
    ours: bool


class _Unread(Exception):
    """Why a file could not be read; the text repeats nothing of it."""


def check_config(path: Path) -> Iterator[Finding]:
    """config.toml: whether it is TOML, its size, and where it has Codex keep the login."""
    try:
        file = _read(path)
    except _Unread as error:
        yield Finding("warn", "config.toml", str(error), _look_at(path))
        return
    if file is None:
        yield Finding("ok", "config.toml", "none")
        return
    try:
        settings = tomllib.loads(file.content.decode())
    except (ValueError, RecursionError):
        # Not the parser's words: they may repeat what is in the file.
        hint = f"Codex cannot read it either; mend it: {_quoted(path)}"
        yield Finding("warn", "config.toml", f"{len(file.content)} bytes that are no TOML", hint)
        return
    yield Finding("ok", "config.toml", f"{len(file.content)} bytes; runs do not read it")
    yield from _check_store(settings.get("cli_auth_credentials_store"))


def _check_store(store: object) -> Iterator[Finding]:
    if store is None:
        return
    if store not in _STORES:
        hint = f"it may be one of: {', '.join(_STORES)}"
        yield Finding("warn", "login store", "cli_auth_credentials_store is none known", hint)
    elif store == "keyring":
        yield Finding("ok", "login store", "keyring: its login is in the system keyring")
    else:
        yield Finding("ok", "login store", str(store))


def check_auth(path: Path) -> Iterator[Finding]:
    """auth.json: what kind of login it holds, and whether others can read it."""
    try:
        file = _read(path)
    except _Unread as error:
        yield Finding("warn", "auth.json", str(error), _look_at(path))
        return
    if file is None:
        yield Finding("ok", "auth.json", "none")
        return
    yield _login(file.content)
    if file.mode & 0o077:
        detail = f"other users may read or change it (mode {file.mode:04o})"
        yield Finding("warn", "auth.json", detail, f"run: chmod 600 {_quoted(path)}")
    if not file.ours:
        hint = f"if it is yours, run: sudo chown {os.geteuid()} {_quoted(path)}"
        yield Finding("warn", "auth.json", "it belongs to another user", hint)


def _login(content: bytes) -> Finding:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        detail = "not JSON, so Codex ignores it"
        return Finding("warn", "auth.json", detail, "log in anew: codex login")
    return describe_login(document)


def _read(path: Path) -> _File | None:
    """A regular file of a reasonable size; links are followed, as Codex does. Raises _Unread."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        # Not opened to find out: opening a device may do something.
        if not stat.S_ISREG(path.stat().st_mode):
            raise _Unread("not a regular file")
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _Unread("not a regular file")
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        if path.is_symlink():
            raise _Unread("a link that leads nowhere") from None
        return None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its name is no path"
        raise _Unread(f"cannot be read: {why}") from None
    if len(content) > _MAX_BYTES:
        raise _Unread(f"larger than {_MAX_BYTES // 1024} KiB")
    return _File(content, stat.S_IMODE(status.st_mode), status.st_uid == os.geteuid())


def _look_at(path: Path) -> str:
    return f"look at it: ls -l {_quoted(path)}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
