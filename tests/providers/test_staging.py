"""A staging directory: what is in it, whose it is, and that nothing is left of it."""

from __future__ import annotations

import datetime
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from moat.errors import ConfigError, MoatError
from moat.providers.agent import AgentWanted, ContainerConfig, PrepareOptions
from moat.providers.codex import (
    CODEX_INIT_MOUNT_PATH,
    OPENAI_API_KEY_PLACEHOLDER,
    PROVIDER,
    populate_staging_dir,
    write_codex_config,
)
from moat.providers.interface import MountConfig
from moat.vault.credential import Facts
from providers.wanted import MUCH, staged
from support.cli import REAL_KEY

WANTED = AgentWanted("/workspace", "do it")


def prepare(directory: Path, **wanted: Any) -> ContainerConfig:
    """Prepare a container below a directory."""
    options = PrepareOptions(directory, AgentWanted("/workspace", **wanted), "/home/agent")
    return PROVIDER.prepare_container(options)


def test_a_container_is_prepared(tmp_path: Path) -> None:
    """A directory of its own with the files, mounted where the variable says, to be read only."""
    container = prepare(tmp_path, **MUCH)
    made = container.staging_dir
    assert [made] == list(tmp_path.iterdir())
    assert made.name.startswith("moat-codex-staging-")
    assert 0o700 == stat.S_IMODE(made.stat().st_mode)
    assert staged(**MUCH) == {file.name: file.read_bytes() for file in made.iterdir()}
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in made.iterdir()}
    assert (MountConfig(made, "/moat/codex-init", read_only=True),) == container.mounts
    assert {
        "OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER,
        "MOAT_CODEX_INIT": CODEX_INIT_MOUNT_PATH,
    } == container.env


def test_cleaning_up_leaves_nothing(tmp_path: Path) -> None:
    """The directory goes with all that came into it, and may go twice."""
    container = prepare(tmp_path)
    (container.staging_dir / "more").mkdir()
    container.cleanup()
    assert [] == list(tmp_path.iterdir())
    container.cleanup()


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the settings cannot be or a file cannot be written, the directory goes again."""
    with pytest.raises(ConfigError):
        prepare(tmp_path, config={"model": "x"})
    assert [] == list(tmp_path.iterdir())

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("moat.providers.codex.staging.write_codex_config", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_no_place_is_told(tmp_path: Path) -> None:
    """A directory that is not there is named."""
    with pytest.raises(MoatError, match=r"no staging directory can be made in .*/none") as caught:
        prepare(tmp_path / "none")
    assert caught.value.hint


@pytest.mark.attack
def test_the_real_key_is_in_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the real key stands when a container is prepared, it is not in the container."""
    monkeypatch.setenv("OPENAI_API_KEY", REAL_KEY)
    monkeypatch.setenv("CODEX_API_KEY", REAL_KEY)
    now = datetime.datetime.now(datetime.UTC)
    facts = Facts("openai", now, metadata={"organization": REAL_KEY, "token": REAL_KEY})
    container = prepare(tmp_path, **MUCH)
    (tmp_path / "by hand").mkdir()
    populate_staging_dir(facts, tmp_path / "by hand")
    write_codex_config(tmp_path / "by hand", WANTED)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert 4 == len(written)
    shown = b"".join(path.read_bytes() for path in written) + repr(container).encode()
    shown += repr(PROVIDER.container_env(facts)).encode()
    assert OPENAI_API_KEY_PLACEHOLDER.encode() in shown
    for start in range(len(REAL_KEY) - 7):
        assert REAL_KEY[start : start + 8].encode() not in shown


@pytest.mark.parametrize("name", ["auth.json", "config.toml"])
@pytest.mark.parametrize("planted", ["link", "file"])
def test_what_is_there_is_not_written_to(tmp_path: Path, name: str, planted: str) -> None:
    """A file or link of that name was not made by us: it stays as it is, and that is an error."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    staging = tmp_path / "staging"
    staging.mkdir()
    if planted == "link":
        (staging / name).symlink_to(victim)
    else:
        os.link(victim, staging / name)
    write = {
        "auth.json": lambda: populate_staging_dir(None, staging),
        "config.toml": lambda: write_codex_config(staging, WANTED),
    }[name]
    with pytest.raises(MoatError, match="cannot be written: File exists"):
        write()
    assert "mine" == victim.read_text()


def test_files_are_closed_whatever_the_umask(tmp_path: Path) -> None:
    """Modes are what they are said to be, also for somebody with an odd umask."""
    before = os.umask(0o777)
    try:
        populate_staging_dir(None, tmp_path)
    finally:
        os.umask(before)
    assert 0o600 == stat.S_IMODE((tmp_path / "auth.json").stat().st_mode)
