"""Where Moat's files are, and that the place is ours."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from moat.config.paths import Home, ensure_home, moat_home
from moat.errors import UnsafeFile, UsageError


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"MOAT_HOME": "/srv/moat", "HOME": "/home/me"}, "/srv/moat"),
        ({"MOAT_HOME": "/srv/moat"}, "/srv/moat"),
        ({"MOAT_HOME": "", "HOME": "/home/me"}, "/home/me/.moat"),
        ({"HOME": "/home/me"}, "/home/me/.moat"),
    ],
)
def test_moat_home_comes_before_home(environ: dict[str, str], expected: str) -> None:
    """MOAT_HOME wins; empty is as good as unset."""
    assert Path(expected) == moat_home(environ)


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "relative"}])
def test_without_home_the_user_database_is_asked(environ: dict[str, str]) -> None:
    """A service manager may set no HOME at all."""
    path = moat_home(environ)

    assert path.is_absolute()
    assert path.name == ".moat"


def test_without_home_or_user_something_must_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run under a uid nobody knows."""

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)

    with pytest.raises(UsageError) as caught:
        moat_home({})

    assert caught.value.hint == "name one: export MOAT_HOME=/path/to/moat"


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("here", "run: export MOAT_HOME='/a b/here'"),
        ("~/moat", 'the shell left the ~ as it is; run: export MOAT_HOME="$HOME"/moat'),
        ("~/a b", "the shell left the ~ as it is; run: export MOAT_HOME=\"$HOME\"/'a b'"),
    ],
)
def test_a_relative_moat_home_is_refused(
    given: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be another directory in every directory."""
    monkeypatch.setattr(Path, "cwd", lambda: Path("/a b"))

    with pytest.raises(UsageError) as caught:
        moat_home({"MOAT_HOME": given, "HOME": "/home/me"})

    assert f"MOAT_HOME must be an absolute path, not {given!r}" == caught.value.message
    assert hint == caught.value.hint


def test_the_rooms_of_the_home() -> None:
    """Names on disk are a promise to existing homes."""
    home = Home(Path("/m"))

    assert {
        "config_file": Path("/m/config.yaml"),
        "credentials": Path("/m/credentials"),
        "accepted": Path("/m/accepted"),
        "ca": Path("/m/ca"),
        "tools": Path("/m/tools"),
        "runs": Path("/m/runs"),
        "worktrees": Path("/m/worktrees"),
        "workspaces": Path("/m/workspaces"),
    } == {
        name: getattr(home, name) for name in vars(Home) if isinstance(vars(Home)[name], property)
    }


def test_a_missing_home_is_created_for_us_alone(tmp_path: Path) -> None:
    """Parents too, and twice is once."""
    home = Home(tmp_path / "a/moat")

    ensure_home(home)
    ensure_home(home)

    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.root.parent.stat().st_mode) == 0o700


def test_a_home_others_can_write_to_is_refused(tmp_path: Path) -> None:
    """They could put a config.yaml there; being able to read is fine."""
    tmp_path.chmod(0o755)
    ensure_home(Home(tmp_path))
    tmp_path.chmod(0o775)

    with pytest.raises(UnsafeFile) as caught:
        ensure_home(Home(tmp_path))

    assert caught.value.hint == f"run: chmod go-w {tmp_path}"
