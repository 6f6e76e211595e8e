import base64
import hashlib
import io
import stat
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.errors import ToolError
from moat.tools.archive import integrity_of, unpack

GOOD = ("package/vendor/bin/run", b"#!/bin/sh\n", 0o777)


@pytest.fixture
def tarball(tmp_path):
    """Makes a tarball of members: (name, content, mode), or a TarInfo as it is."""

    def make(*members):
        with tarfile.open(tmp_path / "p.tgz", "w:gz") as tar:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    tar.addfile(member)
                    continue
                name, content, mode = member
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(content), mode
                tar.addfile(info, io.BytesIO(content))
        return tmp_path / "p.tgz"

    return make


@pytest.fixture
def unpacked(tmp_path):
    """Unpacks `bin/run` below package/vendor; the directory it went to."""

    def do(path):
        unpack(path, tmp_path / "out", root="package/vendor", files=["bin/run"])
        return tmp_path / "out"

    return do


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@given(st.binary(max_size=4096))
def test_integrity_is_the_digest_npm_writes(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "digested"
    path.write_bytes(content)
    expected = base64.b64encode(hashlib.sha512(content).digest()).decode()
    assert f"sha512-{expected}" == integrity_of(path)


def test_only_the_named_files_are_unpacked(tarball, unpacked):
    out = unpacked(tarball(GOOD, ("package/vendor/voice", b"x", 0o644), ("package/a", b"", 0o644)))
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*")) == ["bin", "bin/run"]


@pytest.mark.parametrize(
    ("mode", "expected"), [(0o7777, 0o755), (0o700, 0o755), (0o666, 0o644), (0o000, 0o644)]
)
def test_modes_become_0755_or_0644(tarball, unpacked, mode, expected):
    out = unpacked(tarball((GOOD[0], b"x", mode)))
    assert expected == stat.S_IMODE((out / "bin/run").stat().st_mode)


@pytest.mark.parametrize(
    "name", ["../evil", "package/../../evil", "package/vendor/../../../evil", "/tmp/evil"]
)
def test_a_name_that_leads_outside_is_refused(tarball, unpacked, tmp_path, name):
    with pytest.raises(ToolError, match="leads outside it"):
        unpacked(tarball((name, b"evil", 0o755), GOOD))
    assert list(tmp_path.rglob("evil")) == []


def test_a_name_with_dots_that_leads_nowhere_else_is_allowed(tarball, unpacked):
    assert (unpacked(tarball(("package/..evil", b"", 0o644), GOOD)) / "bin/run").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
@pytest.mark.parametrize("name", [GOOD[0], "package/elsewhere"])
def test_links_and_devices_are_refused(tarball, unpacked, kind, name):
    """In the place of a wanted file as much as anywhere else."""
    with pytest.raises(ToolError, match="is a link or a device"):
        unpacked(tarball(special(name, kind, "/etc/passwd"), GOOD))


def test_a_folder_replaced_by_a_link_is_refused(tarball, unpacked, tmp_path):
    """The classic: a link first, then a file through it."""
    with pytest.raises(ToolError, match="is a link or a device"):
        unpacked(tarball(special("package/vendor/bin", tarfile.SYMTYPE, str(tmp_path)), GOOD))
    assert not (tmp_path / "run").exists()


def test_folders_are_allowed(tarball, unpacked):
    folder = special("package/vendor/bin", tarfile.DIRTYPE)
    assert (unpacked(tarball(folder, GOOD)) / "bin/run").exists()


def test_of_two_files_of_one_name_the_first_is_taken(tarball, unpacked):
    out = unpacked(tarball(GOOD, (GOOD[0], b"second", 0o755)))
    assert GOOD[1] == (out / "bin/run").read_bytes()


def test_a_missing_file_is_refused(tarball, unpacked):
    with pytest.raises(ToolError, match="lacks package/vendor/bin/run"):
        unpacked(tarball(("package/other", b"", 0o644)))


def test_a_folder_where_a_file_should_be_is_refused(tarball, unpacked):
    with pytest.raises(ToolError, match="lacks package/vendor/bin/run"):
        unpacked(tarball(special(GOOD[0], tarfile.DIRTYPE)))


@pytest.mark.parametrize("kept", [0, 1, 20, 60])
def test_a_damaged_tarball_is_refused(tarball, unpacked, kept):
    path = tarball(GOOD)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ToolError, match="damaged"):
        unpacked(path)
