"""Where earlier runs have found repositories in a workspace, written down out of reach of any run.

A run can fill its workspace so that the search for the next one ends before it comes to a
repository that was there all the time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from moat.files import ensure_private_dir, write_atomic

_MOST_PLACES = 4096


class Known(NamedTuple):
    """The directories below a workspace where repositories begin, those of them that are a
    repository's own (a bare one's), and whether any search came to its end."""

    places: tuple[str, ...] = ()
    complete: bool = False
    bare: tuple[str, ...] = ()


NOTHING_KNOWN = Known()


def read_known(directory: Path) -> Known:
    """What is known of the workspace that has this directory of Moat's."""
    try:
        said = json.loads((directory / "repositories.json").read_bytes())
        places, bare = (
            tuple(one for one in told if isinstance(one, str))
            for told in (said["places"], said.get("bare", ()))
        )
        return Known(places, said["complete"] is True, bare)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return NOTHING_KNOWN


def add_known(
    directory: Path, places: Iterable[str], *, complete: bool, bare: Iterable[str] = ()
) -> None:
    """Write down what a search has found, beside what is known. What is not there now stays: it
    may come back. Raises OSError."""
    ensure_private_dir(directory)
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
    with contextlib.ExitStack() as stack:
        lock = os.open(directory / "repositories.lock", flags, 0o600)
        stack.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = read_known(directory)
        # The earliest first: they were there before any run could make some.
        now = Known(
            tuple(dict.fromkeys((*before.places, *places)))[:_MOST_PLACES],
            complete or before.complete,
            tuple(dict.fromkeys((*before.bare, *bare)))[:_MOST_PLACES],
        )
        if now != before:
            document = json.dumps(now._asdict()).encode() + b"\n"
            write_atomic(directory / "repositories.json", document, mode=0o600)
