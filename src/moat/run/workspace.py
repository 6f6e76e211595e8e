"""Which directory a run may work in."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from moat.errors import UsageError

# Refused themselves: what is below may well be a project.
_SYSTEM = frozenset(
    Path(path)
    for path in (
        "/home", "/media", "/mnt", "/opt", "/root", "/run/media", "/snap", "/srv", "/usr",
        "/usr/local", "/usr/src", "/var", "/var/lib",
        "/tmp", "/var/tmp",  # noqa: S108  # refused, not used
    )
)  # fmt: skip
# Refused with all that is below: programs, settings, devices, other programs' sockets.
_SYSTEM_TREES = tuple(
    Path(path)
    for path in (
        "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run",
        "/sbin", "/sys", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/sbin",
        "/var/lib/docker", "/var/run",
    )
)  # fmt: skip
# Directories of a home that hold logins and keys, and no project.
_KEYS = frozenset(
    {".aws", ".azure", ".claude", ".codex", ".docker", ".gemini", ".git-credentials", ".gnupg",
     ".kube", ".m2", ".moat", ".mozilla", ".netrc", ".npmrc", ".password-store", ".pgpass",
     ".pypirc", ".s3cfg", ".ssh", ".terraform.d", ".vault-token"}
)  # fmt: skip
# The same, one folder down.
_KEYS_BELOW = frozenset(
    {
        (".config", name)
        for name in (
            "chromium",
            "containers",
            "gcloud",
            "gh",
            "git",
            "glab-cli",
            "google-chrome",
            "hub",
            "op",
            "rclone",
        )
    }
    | {(".local", "share", "keyrings"), (".cargo", "credentials.toml"), (".cargo", "credentials")}
)
_REMOVABLE = Path("/run/media")  # where desktops mount what is plugged in


class Guarded(NamedTuple):
    """What no box may see: the person's homes as a whole, Moat's directory, Moat's own program.

    `own_code` is where that program lies, and the Python that runs it, `imported_from` where it
    finds its libraries: who can write there is Moat, the next time it is started or sooner.
    """

    user_homes: tuple[Path, ...]
    moat_home: Path
    own_code: tuple[Path, ...] = ()
    imported_from: tuple[Path, ...] = ()


def why_too_much(path: Path, guarded: Guarded) -> str | None:
    """Why a real path cannot be given to a box; None if it can."""
    return _too_much(path, guarded.user_homes, guarded.moat_home.resolve()) or _our_code(
        path, guarded
    )


def resolve_workspace(given: str, *, guarded: Guarded) -> Path:
    """The real path of the workspace. Raises UsageError for one that would give too much away."""
    if not given:
        raise UsageError("the workspace is empty", hint="name the directory of your project")
    try:
        path = Path(given).expanduser().resolve(strict=True)
    except (OSError, RuntimeError) as error:
        reason = "does not exist"
        if isinstance(error, OSError) and error.errno not in (errno.ENOENT, errno.ENOTDIR):
            reason = f"cannot be used: {error.strerror}"
        raise UsageError(
            f"the workspace {given} {reason}", hint="name the directory of your project"
        ) from None
    if not path.is_dir():
        raise UsageError(
            f"the workspace {given} is not a directory",
            hint=f"did you mean the one it is in? {path.parent}",
        )
    too_much = why_too_much(path, guarded)
    if too_much is not None:
        raise UsageError(
            f"the workspace {path} is refused: {too_much}",
            hint="run in the directory of one project",
        )
    return path


def _our_code(path: Path, guarded: Guarded) -> str | None:
    for code in (given.resolve() for given in (*guarded.own_code, *guarded.imported_from)):
        if path == code or path in code.parents:
            if code in map(Path.resolve, guarded.own_code):
                return f"Moat's own program is inside it ({code}); install Moat outside of projects"
            return (
                f"this program imports modules from {code}, so a run could change what it does; "
                "start Python with -P, or keep the program outside of the project"
            )
        if code in path.parents and code.name in {"dist-packages", "moat", "site-packages"}:
            return f"it is among Moat's own program ({code})"
    return None


def _too_much(path: Path, user_homes: Iterable[Path], moat_home: Path) -> str | None:
    if path == Path("/"):
        return "it is the whole file system"
    if moat_home == path or moat_home in path.parents:
        return f"it is among Moat's own files ({moat_home})"
    for home in (given.resolve() for given in user_homes):
        if path == home:
            return "it is your home directory, with your keys and settings"
        if path in home.parents:
            return "your home directory is inside it"
        if home in path.parents:
            below = path.relative_to(home).parts
            if below[0] in _KEYS or any(
                below[: len(keys)] == keys or keys[: len(below)] == below for keys in _KEYS_BELOW
            ):
                return "it is where keys are kept"
    if path in moat_home.parents:
        return f"Moat's own files are inside it ({moat_home})"
    if path in _SYSTEM:
        return "it is a system directory"
    if _REMOVABLE not in path.parents:
        for tree in _SYSTEM_TREES:
            if path == tree or tree in path.parents:
                return "it is a system directory"
    return None
