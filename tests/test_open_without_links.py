"""What was judged is what is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moat.errors import MoatError
from moat.files import open_without_links


def test_a_plain_path_is_opened(tmp_path: Path) -> None:
    """A directory or a file, as itself."""
    (tmp_path / "file").touch()
    for path in (Path("/"), tmp_path, tmp_path / "file"):
        opened = open_without_links(path)
        assert os.path.sameopenfile(opened, os.open(path, os.O_RDONLY))
        os.close(opened)


@pytest.mark.parametrize("place", ["link", "link/below", "real/link", "missing", "fifo", "file/x"])
def test_what_leads_elsewhere_by_now_is_not(tmp_path: Path, place: str) -> None:
    """A link anywhere on the way, something else, or nothing; and no descriptor is left."""
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "link").symlink_to("below")
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(MoatError, match="is not what it was"):
        open_without_links(tmp_path / place)
    assert before == len(os.listdir("/proc/self/fd"))  # noqa: PTH208
