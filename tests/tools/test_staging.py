import errno
import os

import pytest

from moat.errors import ToolError, UnsafeFile
from moat.tools.progress import Silent
from moat.tools.staging import Job, install_once


@pytest.fixture
def install(home):
    """Installs a thing with this way of filling its folder; where it is."""

    def do(fill):
        tools = home / "tools"
        job = Job("thing", "thing 1", tools / "thing/1", 9_000_000, fill)
        return install_once(job, tools=tools, progress=Silent())

    return do


def good(folder):
    (folder / "made").mkdir(mode=0o755)
    (folder / "made/file").write_text("whole")
    return folder / "made"


def test_what_was_made_gets_its_name(install):
    assert (install(good) / "file").read_text() == "whole"


def test_it_is_made_once(install):
    install(good)
    assert (install(lambda folder: pytest.fail("again")) / "file").read_text() == "whole"


def test_nothing_has_its_name_before_it_is_whole(install, home):
    def fill(folder):
        made = good(folder)
        assert not (home / "tools/thing").exists()
        assert folder.stat().st_mode & 0o777 == 0o700
        return made

    assert install(fill).exists()


@pytest.mark.parametrize("error", [ToolError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_whatever_is_raised_goes_on_and_nothing_is_left(install, home, leftovers, error):
    def fill(folder):
        good(folder)
        raise error

    with pytest.raises(type(error)) as caught:
        install(fill)
    assert error is caught.value
    assert leftovers(home) == []
    assert install(good).exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_what_is_needed(install, home, leftovers, number):
    def fill(folder):
        raise OSError(number, os.strerror(number))

    with pytest.raises(ToolError, match="about 9 MB are needed there and") as caught:
        install(fill)
    assert f"the disk that holds {home}/tools is full" in caught.value.message
    assert "MOAT_HOME" in caught.value.hint
    assert leftovers(home) == []


def test_another_error_of_the_system_is_not_called_a_full_disk(install, home):
    def fill(folder):
        raise PermissionError(errno.EACCES, "Permission denied", "x")

    with pytest.raises(ToolError, match="Permission denied: 'x'") as caught:
        install(fill)
    assert f"ls -la {home}/tools" in caught.value.hint


def test_the_work_of_a_dead_installer_is_swept(install, home, leftovers):
    dead = home / "tools/.work/thing/dead"
    dead.mkdir(parents=True)
    (dead / "half.tgz").write_text("half")
    install(good)
    assert leftovers(home) == ["thing", "thing/1", "thing/1/file"]


def test_the_work_of_another_tool_is_not_swept(install, home):
    other = home / "tools/.work/thing-two/alive"
    other.mkdir(parents=True)
    install(good)
    assert other.exists()


def test_a_lock_that_is_a_link_is_not_followed(install, home, tmp_path):
    (home / "tools/.work").mkdir(parents=True)
    (home / "tools/.work/thing.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ToolError, match="symbolic links"):
        install(good)
    assert not (tmp_path / "elsewhere").exists()


def test_a_work_folder_others_may_write_to_is_refused(install, home):
    (home / "tools/.work").mkdir(parents=True)
    (home / "tools/.work").chmod(0o777)
    with pytest.raises(UnsafeFile, match="may be written to by others"):
        install(good)
