"""Every error Moat raises on purpose, in one tree.

MoatError            something went wrong; exit code 1
├── UsageError       the person typed something that cannot be; exit code 2
├── ConfigError      a settings file is wrong; exit code 2
├── GrantError       a grant is missing, unknown, refused or unreadable
├── UnsafeFile       a file Moat relies on may be read or written by others
├── ToolError        a program could not be installed or found
├── RuntimeUnavailable  the box cannot be made on this machine
├── RecordError      what happened cannot be written down
└── Interrupted      the person pressed Ctrl-C; exit code 130
"""

from __future__ import annotations

import errno


class MoatError(Exception):
    """An error a person reads: what happened and why, then the next command to type.

    `message` is one sentence or a few, without a trailing newline; `hint` is what to do about
    it, or None; `exit_code` is what the process ends with.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(MoatError):
    """What was typed cannot be done as typed."""

    exit_code = 2


class ConfigError(MoatError):
    """A settings file cannot be taken as it stands; the message begins `FILE:LINE:COLUMN:`."""

    exit_code = 2


class GrantError(MoatError):
    """A credential is missing, unknown, refused by its provider, or cannot be opened."""


class UnsafeFile(MoatError):
    """A file or directory Moat relies on is open to other users, or belongs to one."""


class ToolError(MoatError):
    """A program the run needs could not be installed or found."""


class RuntimeUnavailable(MoatError):
    """This machine cannot make the box as it is set up now."""


class RecordError(MoatError):
    """What happened cannot be written down, so it must not go on happening."""


class Interrupted(MoatError):
    """The person pressed Ctrl-C."""

    exit_code = 130

    def __init__(self, message: str = "interrupted", *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)


def system_error(error: OSError) -> MoatError:
    """What the system refused, as an error a person reads."""
    what = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = "make some room; see how full the disks are: df -h" if full else None
    return MoatError(f"the system refused: {what}{error.strerror or error}", hint=hint)
