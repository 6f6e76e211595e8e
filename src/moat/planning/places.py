"""What no box may see: the person's home, Moat's directory, Moat's own program."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from moat.run.workspace import Guarded


def guarded_places(moat_home: Path) -> Guarded:
    """The places of this person and this program."""
    return Guarded(tuple(_user_homes()), moat_home, tuple(_own_code()), _imported_from())


def _own_code() -> list[Path]:
    """What is loaded when Moat starts: its program, and its Python."""
    import moat

    assert moat.__file__ is not None
    return [Path(moat.__file__).parent, *map(Path, (sys.executable, sys.prefix, sys.base_prefix))]


def _imported_from() -> tuple[Path, ...]:
    """Where this program finds what it imports; the directory of its script, too, if it has one."""
    return tuple(Path(place) for place in sys.path if place)


def _user_homes() -> list[Path]:
    """The person's home directory: as the environment says, and as the system does."""
    import pwd

    homes = [Path(os.environ.get("HOME", ""))]
    with contextlib.suppress(KeyError):
        homes.append(Path(pwd.getpwuid(os.getuid()).pw_dir))
    return [home for home in homes if home.is_absolute()]
