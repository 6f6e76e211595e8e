import os

import pytest

from moat.errors import ToolError, UnsafeFile
from moat.tools.places import check_ours, is_installed, tools_dir


def test_tools_are_below_home(tmp_path):
    assert tmp_path / "tools" == tools_dir(tmp_path)


def test_a_directory_is_installed_and_an_absent_one_is_not(tmp_path):
    assert is_installed(tmp_path)
    assert not is_installed(tmp_path / "absent")


def test_a_file_in_the_place_of_a_tool_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UnsafeFile, match="not a directory"):
        is_installed(tmp_path / "file")


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
def test_a_directory_others_may_write_to_is_refused(tmp_path, mode):
    tmp_path.chmod(mode)
    with pytest.raises(UnsafeFile, match="may be written to by others"):
        is_installed(tmp_path)


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o555])
def test_a_directory_others_may_at_most_read_is_allowed(tmp_path, mode):
    tmp_path.chmod(mode)
    assert is_installed(tmp_path)


def test_below_a_file_nothing_is_installed(tmp_path):
    (tmp_path / "file").touch()
    assert not is_installed(tmp_path / "file/tool")


def test_a_place_that_cannot_be_looked_at_is_an_error_with_its_name(tmp_path):
    """A link that leads to itself, which not even root can follow."""
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ToolError, match="Too many levels of symbolic links") as caught:
        is_installed(tmp_path / "loop/tool")
    assert f"ls -ld {tmp_path}/loop" in caught.value.hint


def owned_by(uid, directory):
    found = directory.stat()
    return os.stat_result((*found[:4], uid, *found[5:]))


def test_a_directory_of_another_user_is_refused(tmp_path):
    with pytest.raises(UnsafeFile, match="belongs to another user"):
        check_ours(tmp_path, owned_by(os.geteuid() + 1, tmp_path))


@pytest.mark.parametrize("uid", [0, os.geteuid()])
def test_a_directory_of_ours_or_the_systems_is_allowed(tmp_path, uid):
    tmp_path.chmod(0o755)
    check_ours(tmp_path, owned_by(uid, tmp_path))
