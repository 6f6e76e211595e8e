import os
import shutil

import pytest

from moat.errors import ToolError
from moat.tools.archive import integrity_of
from moat.tools.npm import find_npm, pack


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_npm_of_the_host_is_used(home):
    assert [shutil.which("npm")] == find_npm(home)


def test_an_npm_that_does_not_run_is_passed_over(home, tmp_path, monkeypatch):
    """A shim without its Node.js, say."""
    script(tmp_path / "bin/npm", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("moat.tools.npm.ensure_node", lambda home, progress: ["from", "PyPI"])
    assert find_npm(home) == ["from", "PyPI"]


def test_an_npm_in_a_relative_folder_of_path_is_passed_over(home, tmp_path, monkeypatch):
    """`./npm` of the project would run outside the box."""
    script(tmp_path / "npm", f"touch {tmp_path}/ran")
    real = shutil.which("npm")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}{os.environ['PATH']}")
    assert shutil.which("npm") == "./npm"
    assert find_npm(home) == [real]
    assert not (tmp_path / "ran").exists()


def test_a_package_is_packed_where_it_was_asked_for(tiny, tmp_path):
    made = pack(find_npm(tmp_path), tiny.packages[0].spec, tmp_path)
    assert tmp_path / "tiny-1.0.0.tgz" == made
    assert tiny.packages[0].integrity == integrity_of(made)
    assert not (tmp_path / "cache").exists()


def test_the_project_around_has_no_say(tiny, tmp_path, monkeypatch):
    """A .npmrc in the working directory or above the tools is the agent's, not the person's."""
    for folder in [tmp_path, tmp_path / "tools"]:
        folder.mkdir(exist_ok=True)
        (folder / ".npmrc").write_text("dry-run=true\n")
        (folder / "package.json").write_text('{"workspaces":["tools/*"]}')
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "tools/work"
    folder.mkdir()
    assert pack(find_npm(tmp_path), tiny.packages[0].spec, folder).exists()


def test_the_settings_of_the_person_do_have_a_say(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("npm_config_dry_run", "true")
    with pytest.raises(ToolError, match="left 0 tarballs"):
        pack(find_npm(tmp_path), tiny.packages[0].spec, tmp_path)


def test_what_npm_complains_of_is_told_with_the_next_command(tmp_path):
    with pytest.raises(ToolError, match=r"npm could not fetch .*: ENOENT\n") as caught:
        pack(find_npm(tmp_path), str(tmp_path / "absent"), tmp_path)
    assert f"npm view {tmp_path}/absent dist" in caught.value.hint


def test_a_full_disk_is_an_error_of_the_disk(tmp_path):
    script(tmp_path / "npm", "echo npm error code ENOSPC >&2; exit 1")
    with pytest.raises(OSError, match="No space left on device"):
        pack([str(tmp_path / "npm")], "tiny", tmp_path)
