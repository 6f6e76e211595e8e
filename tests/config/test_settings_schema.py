"""What each setting takes and what it refuses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moat.config.network import NetworkRule
from moat.config.settings import Network, Settings, Upstream
from moat.config.settings_schema import SETTINGS
from moat.config.yaml import read_yaml
from moat.errors import ConfigError

PEM = "-----BEGIN CERTIFICATE-----\nMIIB+/==\n-----END CERTIFICATE-----\n"


def read(text: str) -> Settings:
    return SETTINGS.read(read_yaml(text.encode(), name="f"))


def refusal(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return caught.value


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    path = tmp_path / "roots.pem"
    path.write_text("# ours\n" + PEM + PEM)
    path.chmod(0o644)
    return path


def ca(path: Path | str) -> str:
    return f'upstream: {{ca_file: "{path}"}}'


def test_a_ca_file_is_taken(roots: Path) -> None:
    """By its absolute path."""
    assert Settings(Upstream(ca_file=roots)) == read(ca(roots))


def test_a_ca_file_may_be_in_the_home(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may begin with ~/ and comes back absolute."""
    monkeypatch.setenv("HOME", str(roots.parent))

    assert roots == read(ca("~/roots.pem")).upstream.ca_file


def test_a_home_that_is_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative HOME would make the path relative again."""
    monkeypatch.setenv("HOME", "here")

    assert "nothing says where ~ is" in refusal(ca("~/roots.pem")).message


@pytest.mark.parametrize(
    "path", ["roots.pem", "./roots.pem", "~", "~root/roots.pem", "", "$HOME/r"]
)
def test_a_relative_ca_file_is_refused(path: str) -> None:
    """It would be another file in every directory."""
    message = refusal(ca(path)).message

    assert f'f:1:21: "{path}" must be an absolute path or begin with ~/' == message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "has no PEM certificate in it"),
        ("hello", "has no PEM certificate in it"),
        (PEM.replace("CERTIFICATE", "PRIVATE KEY"), "has no PEM certificate in it"),
        (PEM[:-10], "has no PEM certificate in it"),
        ("-----BEGIN CERTIFICATE-----" + " " * (4 << 20), "is larger than 4 MiB"),
        ("-----BEGIN CERTIFICATE-----" + " " * (1 << 20), "has no PEM certificate in it"),
    ],
)
def test_a_ca_file_must_hold_a_certificate(roots: Path, content: str, reason: str) -> None:
    """Found out now, and not at the first request."""
    roots.write_text(content)

    message = refusal(ca(roots)).message

    assert message.startswith("f:1:21: ")
    assert message.endswith(reason)


def test_a_ca_file_must_be_there(tmp_path: Path) -> None:
    """The reason is the system's own."""
    assert refusal(ca(tmp_path / "none")).message.endswith(
        "cannot be read: No such file or directory"
    )
    assert refusal(ca(tmp_path)).message.endswith("cannot be read: Not a regular file")
    assert "cannot be read" in refusal(ca("/a\\0b")).message


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_ca_file_must_be_readable(roots: Path) -> None:
    """The reason is the system's own."""
    roots.chmod(0)

    assert refusal(ca(roots)).message.endswith("cannot be read: Permission denied")


def test_a_ca_file_others_can_change_is_refused(roots: Path) -> None:
    """Whoever writes it can pose as any server; the hint is the command."""
    roots.chmod(0o664)

    error = refusal(ca(roots))

    assert f"f:1:21: {roots} can be changed by other users (mode 0664)" == error.message
    assert f"run: chmod go-w {roots}" == error.hint


def test_connect_to_is_read_into_canonical_pairs() -> None:
    """Spelling is settled here, so that looking up is comparing."""
    settings = read(
        'upstream: {connect_to: {"API.OpenAI.com:443": "127.0.0.1:8443", "[::1]:1": "[0::2]:2"}}'
    )

    assert settings.upstream.connect_to == (
        (("api.openai.com", 443), ("127.0.0.1", 8443)),
        (("::1", 1), ("::2", 2)),
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"api.openai.com": "127.0.0.1:8443"}', "f:1:25: "),
        ('{"api.openai.com:443": "127.0.0.1"}', "f:1:47: "),
        ('{"https://api.openai.com:443": "127.0.0.1:1"}', "f:1:25: "),
        ('{"*.openai.com:443": "127.0.0.1:1"}', "f:1:25: "),
        ('{"a.test:443": "127.0.0.1:1", "A.test:443": "127.0.0.1:2"}', "f:1:54: "),
        ('{"a.test:443": 8443}', "f:1:39: "),
    ],
)
def test_a_wrong_connect_to_is_refused_at_its_place(text: str, place: str) -> None:
    """Left and right have places of their own."""
    assert refusal(f"upstream: {{connect_to: {text}}}").message.startswith(place)


def test_allow_is_read_into_patterns() -> None:
    """As HostPattern writes them."""
    settings = read('network: {allow: [Example.com, "*.example.org:443", "localhost:8080"]}')

    assert Network(("example.com", "*.example.org", "localhost:8080")) == settings.network


def test_policy_rules_and_groups_are_read() -> None:
    """Rules as in moat.yaml; groups as they are written, each with hosts of its own."""
    settings = read(
        """
network:
  policy: ask
  allow: ["@npm", example.com]
  rules:
    - deny evil.example
    - {host: api.example.com, rules: [allow GET /a]}
  groups:
    npm: [Mirror.example.com, "mirror.example.com:8081"]
    mine: []
"""
    )
    assert settings.network == Network(
        ("@npm", "example.com"),
        "ask",
        (
            NetworkRule("evil.example", "deny"),
            NetworkRule("api.example.com", paths=("allow GET /a",)),
        ),
        (("npm", ("mirror.example.com", "mirror.example.com:8081")), ("mine", ())),
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("groups: {'@npm': [a.test]}", 20),
        ("groups: {npm: a.test}", 25),
        ("groups: {npm: ['@pypi']}", 26),
        ("groups: {npm: [deny a.test]}", 26),
        ("allow: [deny a.test]", 19),
        ("allow: ['@N']", 19),
        ("policy: open", 19),
    ],
)
def test_a_wrong_group_is_refused_at_its_place(text: str, place: int) -> None:
    """A group holds hosts, and no other group."""
    assert refusal(f"network: {{{text}}}").message.startswith(f"f:1:{place}: ")


@pytest.mark.parametrize("pattern", ["https://example.com", "*", "*.com", "a.*.com", "", "x:0"])
def test_a_wrong_pattern_is_refused_at_its_place(pattern: str) -> None:
    """The reason is HostPattern's."""
    assert refusal(f'network: {{allow: [ok.test, "{pattern}"]}}').message.startswith("f:1:28: ")


def test_trust_is_to_ask_unless_said_otherwise() -> None:
    """Agreeing unseen is for those who write it out."""
    assert "ask" == read("").trust
    assert "ask" == read("trust: ask").trust
    assert "always" == read("trust: always").trust
    assert refusal("trust: yes").message.startswith("f:1:8: expected ask or always")


def test_idle_timeout_is_whole_seconds() -> None:
    """Up to a day; ten minutes unless said otherwise."""
    assert 600 == read("").upstream.idle_timeout
    assert Upstream(idle_timeout=5) == read("upstream: {idle_timeout: 5}").upstream
    for wrong in ("0", "86401", "1.5", "-1", "ten"):
        assert "from 1 to 86400" in refusal(f"upstream: {{idle_timeout: {wrong}}}").message
