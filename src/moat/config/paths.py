"""Where Moat keeps its things: $MOAT_HOME, or ~/.moat."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from moat.errors import UsageError
from moat.files import ensure_own_dir


class Home(NamedTuple):
    """The directory everything Moat keeps is in, and the names of what is there."""

    root: Path

    @property
    def config_file(self) -> Path:
        return self.root / "config.yaml"

    @property
    def credentials(self) -> Path:
        return self.root / "credentials"

    @property
    def accepted(self) -> Path:
        return self.root / "accepted"

    @property
    def ca(self) -> Path:
        return self.root / "ca"

    @property
    def tools(self) -> Path:
        return self.root / "tools"

    @property
    def worktrees(self) -> Path:
        return self.root / "worktrees"

    @property
    def workspaces(self) -> Path:
        return self.root / "workspaces"

    @property
    def runs(self) -> Path:
        return self.root / "runs"


def moat_home(environ: Mapping[str, str]) -> Path:
    """Return the absolute path of Moat's directory; nothing is read or created.

    An empty MOAT_HOME is as good as none. Raises UsageError for a relative one: it would be
    another directory in every directory.
    """
    if given := environ.get("MOAT_HOME"):
        path = Path(given)
        if not path.is_absolute():
            raise UsageError(
                f"MOAT_HOME must be an absolute path, not {given!r}", hint=_absolute(given)
            )
        return path
    return _user_home(environ) / ".moat"


def ensure_home(home: Home) -> None:
    """Create Moat's directory (0700) if it is missing; refuse one other users can change.

    config.yaml is in it and decides where traffic goes, so nobody else may write there; reading
    is fine, what is secret is in private directories below. Raises UnsafeFile or MoatError.
    """
    ensure_own_dir(home.root)


def _absolute(given: str) -> str:
    if given.startswith("~/"):
        below = shlex.quote(given[2:])
        return f'the shell left the ~ as it is; run: export MOAT_HOME="$HOME"/{below}'
    return f"run: export MOAT_HOME={shlex.quote(str(Path.cwd() / given))}"


def _user_home(environ: Mapping[str, str]) -> Path:
    path = Path(environ.get("HOME", ""))
    if path.is_absolute():
        return path
    import pwd  # here, as next to nobody's HOME is unset

    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        raise UsageError(
            "HOME is not set, so there is no place for Moat's files",
            hint="name one: export MOAT_HOME=/path/to/moat",
        ) from None
