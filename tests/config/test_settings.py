"""config.yaml is loaded, quickly when there is none, and anything wrong with it is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moat.config.paths import Home
from moat.config.settings import Network, Settings, Upstream, load_settings
from moat.errors import ConfigError, UnsafeFile


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def write(home: Home, data: str | bytes) -> None:
    home.config_file.write_bytes(data if isinstance(data, bytes) else data.encode())
    home.config_file.chmod(0o644)


def test_without_a_file_defaults_hold(home: Home) -> None:
    """Nobody needs a file, nor Moat's directory."""
    assert Settings(Upstream(None, ()), Network(())) == load_settings(home)
    assert Settings() == load_settings(Home(home.root / "none"))


def test_a_file_is_loaded(home: Home) -> None:
    """And what it gives is a value nobody changes."""
    write(home, 'network: {allow: [example.com]}\nupstream: {connect_to: {"a.test:1": "b.test:2"}}')

    loaded = load_settings(home)

    assert (
        Settings(Upstream(connect_to=((("a.test", 1), ("b.test", 2)),)), Network(("example.com",)))
        == loaded
    )
    assert hash(loaded) == hash(load_settings(home))
    with pytest.raises(AttributeError):
        loaded.network = Network()  # type: ignore[misc]


def test_errors_name_the_file(home: Home) -> None:
    """By its whole path, so that a terminal can open it."""
    write(home, "network:\n  allow: []\nupsteam: {}\n")

    with pytest.raises(ConfigError) as caught:
        load_settings(home)

    assert f'{home.config_file}:3:1: unknown key "upsteam"' == caught.value.message
    assert caught.value.hint == 'did you mean "upstream"?'


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_others_can_change_is_refused(home: Home, mode: int) -> None:
    """Even when all is well in it; reading it is fine."""
    write(home, "")
    assert Settings() == load_settings(home)
    home.config_file.chmod(mode)

    with pytest.raises(UnsafeFile) as caught:
        load_settings(home)

    assert f"run: chmod go-w {home.config_file}" == caught.value.hint


def test_a_file_that_is_none_is_refused(home: Home) -> None:
    """A directory in its place is not an absent file."""
    home.config_file.mkdir()

    with pytest.raises(ConfigError, match=r"config.yaml:1:1: cannot be read: Not a regular file"):
        load_settings(home)


def test_a_link_is_followed_but_not_into_nowhere(home: Home) -> None:
    """People keep their settings in a repository; a broken link is a mistake."""
    home.config_file.symlink_to("elsewhere.yaml")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_settings(home)

    (home.root / "elsewhere.yaml").write_text("network: {allow: [a.test]}")
    (home.root / "elsewhere.yaml").chmod(0o600)

    assert load_settings(home).network.allow == ("a.test",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_an_unreadable_file_is_refused(home: Home) -> None:
    """Settings that cannot be read might have said no."""
    write(home, "")
    home.config_file.chmod(0)

    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load_settings(home)


def test_a_file_too_large_is_not_read(home: Home) -> None:
    """Not even a sparse one of a terabyte."""
    write(home, "")
    os.truncate(home.config_file, 1 << 40)

    with pytest.raises(ConfigError, match="larger than 1024 KiB"):
        load_settings(home)


LOADED = """
import sys
from pathlib import Path
from moat.config.paths import Home
from moat.config.settings import load_settings
load_settings(Home(Path(sys.argv[1])))
print(*sorted(set(sys.argv[2:]) & set(sys.modules)))
"""


def loaded_modules(home: Home, *names: str) -> list[str]:
    argv = [sys.executable, "-c", LOADED, str(home.root), *names]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()


def test_loading_is_light(home: Home) -> None:
    """Every command pays for what is imported here; YAML is for those who have a file."""
    heavy = ("asyncio", "socket", "ssl", "subprocess", "difflib")

    assert loaded_modules(home, *heavy, "yaml", "moat.config.schema") == []

    write(home, "network: {allow: [a.test]}")
    assert loaded_modules(home, *heavy, "yaml") == ["yaml"]


def settings_or_error(home: Home) -> Settings | ConfigError:
    try:
        return load_settings(home)
    except ConfigError as error:
        return error


PIECES = st.sampled_from(
    [
        *("upstream", "network", "ca_file", "connect_to", "allow", ": ", ":\n", "\n", "  ", "- "),
        *("{", "}", "[", "]", ", ", '"', "'", "a.test", "a.test:443", "*.a.test", "/etc/passwd"),
        *("/dev/zero", "~/", "~", "no", "1", "&x ", "*x", "!!str ", "<<", "---\n", "#", "\\0", "é"),
    ]
)
FILES = st.text() | st.binary() | st.lists(PIECES, max_size=30).map("".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(FILES)
def test_any_file_gives_settings_or_a_config_error(home: Home, data: str | bytes) -> None:
    """Whatever is in config.yaml, a person gets a sentence and not a traceback."""
    write(home, data)

    loaded = settings_or_error(home)

    if isinstance(loaded, ConfigError):
        assert loaded.message.startswith(f"{home.config_file}:")
        assert (loaded.message + (loaded.hint or "")).isprintable()
    else:
        assert isinstance(loaded, Settings)
