"""What is said for good stands in config.yaml, and all else of the file is as it was."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moat.config.network import NetworkRule
from moat.config.paths import Home
from moat.config.settings import Settings, load_settings
from moat.config.settings_edit import allow_always, deny_always
from moat.errors import ConfigError, MoatError, UnsafeFile


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def write(home: Home, text: str, mode: int = 0o600) -> None:
    home.config_file.write_bytes(text.encode())
    home.config_file.chmod(mode)


def text(home: Home) -> str:
    return home.config_file.read_bytes().decode()


def test_a_file_is_made_where_there_is_none(home: Home) -> None:
    """Its owner's alone, and it says what was asked for and nothing else."""
    assert allow_always(home, "Example.COM")
    assert "network:\n  allow:\n    - example.com\n" == text(home)
    assert 0o600 == stat.S_IMODE(home.config_file.stat().st_mode)
    assert deny_always(home, "*.example.org")
    network = load_settings(home).network
    assert (("example.com",), (NetworkRule("*.example.org", "deny"),)) == (
        network.allow,
        network.rules,
    )


def test_it_is_said_once(home: Home) -> None:
    """What stands there is left alone, to the byte."""
    write(home, "network:\n  allow: [a.test]\n  rules: [deny b.test, c.test]\n")
    before = home.config_file.stat()
    assert not allow_always(home, "a.test:443")
    assert not deny_always(home, "b.test")
    assert not allow_always(home, "c.test")
    after = home.config_file.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# mine\n", "# mine\nnetwork:\n  allow:\n    - a.test\n"),
        ("trust: ask", "trust: ask\nnetwork:\n  allow:\n    - a.test\n"),
        ("network:\ntrust: ask\n", "network:\n  allow:\n    - a.test\ntrust: ask\n"),
        ("network: # x\n  allow:\n", "network: # x\n  allow:\n    - a.test\n"),
        ("network: {}\n", 'network: {allow: ["a.test"]}\n'),
        ("{trust: ask}", '{trust: ask, network: {allow: ["a.test"]}}'),
        ("network: {allow: []}\n", 'network: {allow: ["a.test"]}\n'),
        ("network:\n  allow: [b.test,]\n", 'network:\n  allow: [b.test, "a.test",]\n'),
        (
            "network:\n  # why\n  policy: ask\n",
            "network:\n  allow:\n    - a.test\n  # why\n  policy: ask\n",
        ),
        (
            "network:\n    allow:\n    # first\n    - b.test # one\n    # last\n\n# end\n",
            "network:\n    allow:\n    # first\n    - b.test # one\n    - a.test\n"
            "    # last\n\n# end\n",
        ),
        (
            "network:\r\n  allow:\r\n    - b.test\r\n",
            "network:\r\n  allow:\r\n    - b.test\r\n    - a.test\r\n",
        ),
        ("\ufefftrust: ask\n", "\ufefftrust: ask\nnetwork:\n  allow:\n    - a.test\n"),
        ("network:\n  allow:\n    - >-\n      b.test\n", None),
        ("---\nnetwork:\n  allow:\n    - b.test\n...\n", None),
        (
            "network:\n  rules:\n    - deny a.test # no\n    - b.test\n",
            "network:\n  rules:\n    - a.test # no\n    - b.test\n",
        ),
        ("network: {rules: [deny a.test]}\n", 'network: {rules: ["a.test"]}\n'),
    ],
)
def test_an_allowance_is_put_where_it_belongs(home: Home, before: str, after: str | None) -> None:
    """With whatever stands around it as it was."""
    write(home, before)
    assert allow_always(home, "a.test")
    if after is not None:
        assert after == text(home)
    else:
        assert "a.test" in load_settings(home).network.allow


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "network:\n  rules:\n    - deny a.test\n"),
        (
            "network:\n  rules:\n    # first\n    - b.test\n",
            "network:\n  rules:\n    - deny a.test\n    # first\n    - b.test\n",
        ),
        ("network:\n  rules: [b.test]\n", 'network:\n  rules: ["deny a.test", b.test]\n'),
        ("network:\n  rules:\n  - a.test\n", "network:\n  rules:\n  - deny a.test\n"),
        (
            "network:\n  allow: [b.test]\n",
            "network:\n  rules:\n    - deny a.test\n  allow: [b.test]\n",
        ),
    ],
)
def test_a_denial_comes_before_all_else(home: Home, before: str, after: str) -> None:
    """So that nothing that was said earlier undoes it."""
    write(home, before)
    assert deny_always(home, "a.test")
    assert after == text(home)


@pytest.mark.parametrize(
    ("host", "entry"),
    [
        ("a.test", "deny a.test"),
        ("a.test:443", "deny a.test:443"),
        ("a.test:8443", "deny a.test:8443"),
        ("*.x.test", "deny *.x.test"),
        ("[::1]:8080", "deny [::1]:8080"),
        ("localhost", "deny localhost"),
        ("1.2.3.4", "deny 1.2.3.4"),
    ],
)
def test_a_denial_without_a_port_is_of_every_port(home: Home, host: str, entry: str) -> None:
    """As it is for a live run."""
    assert deny_always(home, host)
    assert [entry] == [str(rule) for rule in load_settings(home).network.rules]


def test_the_last_word_counts(home: Home) -> None:
    """Denied, allowed, denied: there is one entry, and it is the last."""
    for change in (deny_always, allow_always, deny_always):
        assert change(home, "a.test")
    assert "network:\n  rules:\n    - deny a.test\n" == text(home)


@pytest.mark.parametrize("host", ["a.test", "a.test:8443", "*.x.test", "169.254.169.254", "@npm"])
@pytest.mark.parametrize("first", [allow_always, deny_always])
def test_the_last_word_alone_stays(home: Home, host: str, first: Callable[..., bool]) -> None:
    """Whoever goes to and fro; nothing of what was said before is left to read."""
    second = deny_always if first is allow_always else allow_always
    for change in (first, second, first, second):
        assert change(home, host)
        assert not change(home, host)
    network = load_settings(home).network
    word = f"deny {host}" if second is deny_always else host
    assert [word] == [*network.allow, *map(str, network.rules)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "network:\n  allow:\n    - b.test\n    - a.test # mine\n    - c.test\n",
            "network:\n  rules:\n    - deny a.test\n"
            "  allow:\n    - b.test\n    # mine\n    - c.test\n",
        ),
        (
            "network:\r\n  allow:\r\n  - a.test # mine\r\n",
            "network:\r\n  rules:\r\n    - deny a.test\r\n  allow:\r\n  # mine\r\n",
        ),
        (
            "network:\n  allow: [a.test, b.test]\n",
            "network:\n  rules:\n    - deny a.test\n  allow: [b.test]\n",
        ),
        (
            "network:\n  allow: [b.test, a.test]",
            "network:\n  rules:\n    - deny a.test\n  allow: [b.test]",
        ),
        (
            "network:\n  rules: [a.test:8443, b.test, a.test]\n  allow: [a.test:99]\n",
            'network:\n  rules: ["deny a.test", b.test]\n  allow: []\n',
        ),
    ],
)
def test_a_denial_leaves_no_allowance_of_its_host(home: Home, before: str, after: str) -> None:
    """At any port that it denies; comments stay."""
    write(home, before)
    assert deny_always(home, "a.test")
    assert after == text(home)


def test_another_port_is_another_word(home: Home) -> None:
    """Each stays, and the narrower one is first."""
    write(home, "network:\n  rules:\n    - deny a.test\n")
    assert allow_always(home, "a.test:8443")
    assert ["a.test:8443", "deny a.test"] == [*map(str, load_settings(home).network.rules)]
    write(home, "network:\n  allow:\n    - a.test\n")
    assert deny_always(home, "a.test:8443")
    network = load_settings(home).network
    assert ["a.test", "deny a.test:8443"] == [*network.allow, *map(str, network.rules)]


def test_what_cannot_be_taken_out_is_left(home: Home) -> None:
    """A list with comments in it, in one go."""
    before = "network:\n  allow: [a.test, # mine\n    b.test]\n"
    write(home, before)
    with pytest.raises(ConfigError, match="a comment stands in the list"):
        deny_always(home, "a.test")
    assert before == text(home)


def test_what_a_wider_denial_covers_is_allowed_before_it(home: Home) -> None:
    """Behind it, it would say nothing."""
    write(home, 'network:\n  rules:\n    - "deny *.x.test"\n')
    assert allow_always(home, "a.x.test")
    assert ["a.x.test", "deny *.x.test"] == [str(r) for r in load_settings(home).network.rules]


@pytest.mark.parametrize(
    ("before", "host"),
    [
        ("network:\n  rules:\n    - host: a.test\n      rules: [allow GET /x]\n", "a.test"),
        ("network:\n  rules:\n    - a.x.test\n", "*.x.test"),
        ("network: ~\n", "a.test"),
    ],
)
def test_what_is_for_a_person_to_settle_is_left_to_them(home: Home, before: str, host: str) -> None:
    """The file is as it was, and the error says what to add."""
    write(home, before)
    with pytest.raises(ConfigError, match=re.escape(f'"deny {host}" cannot be added')) as caught:
        deny_always(home, host)
    assert str(home.config_file) in str(caught.value.hint)
    assert before == text(home)


@pytest.mark.parametrize(
    "made",
    [
        "trust: always\nnetwork: {allow: [a.test]}\n",
        "network: {allow: [a.test, b.test]}\n",
        "network: {allow: [a.test.evil]}\n",
        "network: {allow: [a.test]\n",
        "network: {rules: [a.test]}\n",
    ],
)
def test_what_reads_otherwise_is_never_written(
    home: Home, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    """However the text was edited: it is taken if it says the new entry and nothing else."""
    write(home, "# mine\n")
    monkeypatch.setattr("moat.config.settings_edit.edited", lambda *_: made)
    with pytest.raises(ConfigError, match="cannot be added"):
        allow_always(home, "a.test")
    assert "# mine\n" == text(home)
    monkeypatch.setattr("moat.config.settings_edit.edited", lambda *_: "network: {allow: [a.test]}")
    assert allow_always(home, "a.test")


def test_a_file_that_is_wrong_is_left_alone(home: Home) -> None:
    """Its own error is what is told."""
    write(home, "network:\n  alow: [a.test]\n")
    with pytest.raises(ConfigError, match="unknown key"):
        allow_always(home, "a.test")
    assert "network:\n  alow: [a.test]\n" == text(home)


def test_a_file_others_can_change_is_not_believed(home: Home) -> None:
    """Nor made one's own by writing it anew."""
    write(home, "", mode=0o666)
    with pytest.raises(UnsafeFile):
        allow_always(home, "a.test")
    assert "" == text(home)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400])
def test_the_mode_is_kept(home: Home, mode: int) -> None:
    """Who could read it before can, and nobody else."""
    write(home, "", mode)
    assert allow_always(home, "a.test")
    assert mode == stat.S_IMODE(home.config_file.stat().st_mode)


def test_a_link_stays_one(home: Home, tmp_path: Path) -> None:
    """The file it leads to is changed."""
    elsewhere = tmp_path / "dotfiles"
    elsewhere.mkdir()
    (elsewhere / "moat.yaml").write_text("trust: ask\n")
    (elsewhere / "moat.yaml").chmod(0o644)
    home.config_file.symlink_to(elsewhere / "moat.yaml")
    assert allow_always(home, "a.test")
    assert home.config_file.is_symlink()
    assert (elsewhere / "moat.yaml").read_text().startswith("trust: ask\nnetwork:\n")
    assert [elsewhere / "moat.yaml"] == [*elsewhere.iterdir()]


def test_a_file_of_another_user_is_left_alone(home: Home) -> None:
    """An administrator's stays the administrator's."""
    if os.geteuid() != 0:
        pytest.skip("the tests are not run by root")
    write(home, "", 0o644)
    os.chown(home.config_file, 12345, 12345)
    with pytest.raises(MoatError, match="belongs to another user"):
        allow_always(home, "a.test")
    assert 12345 == home.config_file.stat().st_uid


def test_two_at_once_lose_nothing(home: Home) -> None:
    """Whatever was said is there afterwards."""
    hosts = [f"h{number}.test" for number in range(24)]
    threads = [threading.Thread(target=allow_always, args=(home, host)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(hosts) == sorted(load_settings(home).network.allow)


_NAMES = st.lists(st.sampled_from(["a.test", "*.b.test", "c.test:81", "no.test"]), unique=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    allow=_NAMES,
    deny=_NAMES,
    flow=st.booleans(),
    indent=st.integers(1, 6),
    host=st.sampled_from(["a.test", "*.b.test", "new.test", "[::1]:81", "null", "on", "1.1.1.1"]),
    denies=st.booleans(),
)
def test_whatever_stands_there_only_one_entry_changes(
    home: Home, allow: list[str], deny: list[str], flow: bool, indent: int, host: str, denies: bool
) -> None:
    """Every comment and every line is there afterwards, but for one."""
    pad = " " * indent
    lines = ["# of the file", "trust: always  # of trust", "network:  # of network"]
    for name, entries in (("allow", allow), ("rules", [f"deny {entry}" for entry in deny])):
        written = [f'"{entry}"' for entry in entries]
        if flow:
            lines += [f"{pad}{name}: [{', '.join(written)}]  # of {name}"]
        else:
            lines += [f"{pad}{name}:", *(f"{pad}- {entry}  # of it" for entry in written)]
    before = "\n".join([*lines, "# the end", ""])
    write(home, before)
    old = load_settings(home)

    changed = (deny_always if denies else allow_always)(home, host)

    new, after = load_settings(home), text(home)
    if not changed:
        assert before == after
        return
    entries = [*new.network.allow, *map(str, new.network.rules)]
    assert (f"deny {host}" if denies else host) in entries
    assert old._replace(network=Settings().network) == new._replace(network=Settings().network)
    assert before.count("#") == after.count("#")
    gone = [line for line in before.split("\n") if line not in after.split("\n")]
    kept = {*new.network.allow, *map(str, new.network.rules)}
    opposites = {*old.network.allow, *map(str, old.network.rules)} - kept
    assert len(gone) <= 1 + len(opposites)
