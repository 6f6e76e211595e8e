"""The token of a proxy that listens on the host: made, or read from a file of the person's."""

from __future__ import annotations

import re
import secrets
import shlex
from pathlib import Path

from moat.core.secret import Secret
from moat.errors import MoatError, UsageError
from moat.files import open_private_file

# What stands in a URL as it is (RFC 3986 section 2.3), and is too long to be guessed.
_TOKEN = re.compile(rb"[A-Za-z0-9._~-]{16,512}")
_ROOM = 1024


def new_token() -> Secret:
    """A token that nobody can guess."""
    return Secret(secrets.token_urlsafe(32))


def read_token(path: Path) -> Secret:
    """The token in a file, which must be ours and closed to others (0600).

    Raises UnsafeFile, UsageError where there is no such file, MoatError for what is no token; what
    the file holds is never quoted.
    """
    quoted = shlex.quote(str(path))
    make = f"make one: (umask 077; od -An -tx1 -N32 /dev/urandom | tr -d ' \\n' > {quoted})"
    try:
        with open_private_file(path) as file:
            text = file.read(_ROOM)
    except FileNotFoundError:
        raise UsageError(f"--token-file: there is no file {path}", hint=make) from None
    except OSError as error:
        raise MoatError(f"the token file {path} cannot be read: {error.strerror}") from None
    token = text.removesuffix(b"\n").removesuffix(b"\r")
    if not _TOKEN.fullmatch(token):
        raise MoatError(
            f"{path} holds no token: one line of 16 to 512 letters, digits, and - . _ ~", hint=make
        )
    return Secret(token.decode("ascii"))
