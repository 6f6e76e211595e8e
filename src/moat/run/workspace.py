"""Which directory a run may work in."""

from __future__ import annotations

from pathlib import Path

from moat.errors import UsageError

_SYSTEM = frozenset(
    Path(path)
    for path in (
        "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root",
        "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var",  # noqa: S108  # refused, not used
    )
)  # fmt: skip


def resolve_workspace(given: str, *, user_home: Path | None, moat_home: Path) -> Path:
    """The real path of the workspace. Raises UsageError for one that would give too much away."""
    try:
        path = Path(given).expanduser().resolve(strict=True)
    except (OSError, RuntimeError):
        raise UsageError(
            f"the workspace {given} does not exist", hint="name the directory of your project"
        ) from None
    if not path.is_dir():
        raise UsageError(
            f"the workspace {given} is not a directory",
            hint=f"did you mean the one it is in? {path.parent}",
        )
    reason = _too_much(path, user_home=user_home, moat_home=moat_home.resolve())
    if reason is not None:
        raise UsageError(
            f"the workspace {path} is refused: {reason}",
            hint="run in the directory of one project",
        )
    return path


def _too_much(path: Path, *, user_home: Path | None, moat_home: Path) -> str | None:
    if path == Path("/"):
        return "it is the whole file system"
    if user_home is not None:
        home = user_home.resolve()
        if path == home:
            return "it is your home directory, with your keys and settings"
        if path in home.parents:
            return "your home directory is inside it"
    if path == moat_home or path in moat_home.parents:
        return f"Moat's own files are inside it ({moat_home})"
    if moat_home in path.parents:
        return f"it is among Moat's own files ({moat_home})"
    if path in _SYSTEM or path.parts[:2] in {("/", "proc"), ("/", "sys"), ("/", "dev")}:
        return "it is a system directory"
    return None
