"""What is opened below a directory is below it, and no link leads elsewhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from moat.files import open_beneath


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """A directory, opened, with links that lead out of it."""
    (tmp_path / "in/a").mkdir(parents=True)
    (tmp_path / "in/a/file").write_text("")
    (tmp_path / "in/link").symlink_to("a")
    (tmp_path / "in/a/out").symlink_to("/etc/passwd")
    opened = os.open(tmp_path / "in", os.O_PATH)
    yield opened
    os.close(opened)


def test_what_is_below_is_opened(directory: int) -> None:
    """And closed for programs that are started."""
    opened = open_beneath(directory, "a/file", os.O_PATH)
    assert stat.S_ISREG(os.fstat(opened).st_mode)
    assert not os.get_inheritable(opened)
    os.close(opened)


def test_a_link_is_opened_itself(directory: int) -> None:
    """Where that is what was asked for."""
    opened = open_beneath(directory, "a/out", os.O_PATH | os.O_NOFOLLOW)
    assert stat.S_ISLNK(os.fstat(opened).st_mode)
    os.close(opened)


@pytest.mark.parametrize("path", ["link/file", "a/out", "..", "a/../../x", "/etc/passwd", "none"])
def test_what_leads_elsewhere_is_not(directory: int, path: str) -> None:
    """Neither up, nor by a link, nor from the top."""
    with pytest.raises(OSError, match=path.replace(".", r"\.")):
        open_beneath(directory, path, os.O_PATH)
