"""Whatever a box does without its proxy, it meets the same policy, or nobody."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.cli import Cli
from support.sink import Sinks
from support.users import User

pytestmark = pytest.mark.attack

PYTHON = shutil.which("python3", path="/usr/bin:/bin")
ATTACKER = (Path(__file__).parent / "network.py").read_text()
PLACES = {
    "api": "api.openai.com:443",
    "api in the clear": "api.openai.com:80",
    "web": "web.example:80",
    "wide": "data.wide.example:443",
    "evil": "evil.example:443",
    "evil in the clear": "evil.example:80",
    "metadata": "169.254.169.254:80",
    "metadata by tls": "169.254.169.254:443",
}
ALLOWED = ("api.openai.com", "web.example:80", "*.wide.example")

NOBODY = "ECONNREFUSED"
OTHER_NAME = "TLSV1_UNRECOGNIZED_NAME"

# What is not what Moat is there for, or is there for others, ends like this.
ENDS = {
    "tcp_to_another_port": NOBODY,
    "tcp_to_another_port_v6": NOBODY,
    "tcp_to_another_port_of_a_name_that_resolves": NOBODY,
    "udp_to_a_resolver_of_the_world": NOBODY,
    "udp_to_a_resolver_of_the_world_v6": NOBODY,
    "udp_to_the_port_of_https": NOBODY,
    "take_the_route_away": "EPERM",
    "make_another_route": "EPERM",
    "make_another_address": "EPERM",
    "take_loopback_down": "EPERM",
    # Ports below 1024 are nobody's but Moat's: the agent has no capability.
    "stand_at_every_address": "EACCES",
    "stand_at_every_address_v6": "EACCES",
    "stand_at_an_address_of_a_name": "EACCES",
    "stand_at_loopback": "EACCES",
    "stand_where_the_resolver_is": "EACCES",
    "stand_where_the_proxy_is": "EADDRINUSE",
    "stand_around_the_proxy": "EADDRINUSE",
    "stand_around_the_proxy_v6": "EADDRINUSE",
    "resolve_another_name": "no such name",
    "resolve_a_name_that_tells_something": "no such name",
    "ask_for_a_text_of_another": "3 0",
    "ask_for_a_text": "0 0",
    "ask_for_an_https_record": "0 0",
    "ask_for_whatever_there_is": "5 0",
    "ask_for_a_whole_zone": "5 0",
    "ask_whose_address_it_is": "3 0",
    "ask_in_another_class": "5 0",
    "the_api_by_another_server_name": OTHER_NAME,
    "the_api_by_another_server_name_v6": OTHER_NAME,
    "the_api_by_a_server_name_that_is_allowed": OTHER_NAME,
    "the_api_by_no_server_name": OTHER_NAME,
    "another_host_behind_the_api": 421,
    "another_host_behind_the_api_at_any_address": 421,
    "another_host_at_the_address_of_one": [421, 421],
    "another_host_at_any_address": [403, 403],
    "another_server_at_any_address": [403, 403],
    "the_api_in_the_clear": 403,
    "metadata_by_name": 403,
    "metadata_by_address": 403,
    "metadata_by_tls": 403,
    "a_tunnel_where_there_is_no_proxy": 421,
    "a_proxy_where_there_is_none": 400,
}
# What is no attack succeeds, or the table above would prove nothing.
TWINS = {
    "udp_to_the_resolver_of_the_box": "ok",
    "serve_at_loopback": "ok",
    "serve_at_loopback_v6": "ok",
    "serve_at_every_address": "ok",
    "resolve_a_name_that_is_allowed": ["198.18.0.1", "fd4d:6f61:7400::1"],
    "ask_for_an_address": "0 1",
    "as_it_should_be": [200, 200],
    "as_it_should_be_in_the_clear": [200, 200],
    "at_any_address_by_the_name_of_the_api": [200, 200],
    # The address does not matter to a name that is allowed: what is dialled is the name's own.
    "metadata_by_the_name_of_another": 200,
}


@dataclass
class Attacked:
    """How the attempts ended, what arrived where, and what was recorded."""

    ends: dict[str, Any]
    seen: dict[str, list[tuple[bool, bytes]]]
    trace: list[dict[str, Any]]

    def asked(self, url: str) -> list[str]:
        """What became of the requests for a URL."""
        return [row["outcome"] for row in self.trace if row["url"] == url]


def configure(cli: Cli, user: User, sinks: Sinks) -> None:
    """Let every host be one of ours."""
    to = {place: f"127.0.0.1:{sinks.ports[name]}" for name, place in PLACES.items()}
    file = cli.home / "config.yaml"
    file.write_text(f"upstream:\n  ca_file: {sinks.ca_file}\n  connect_to: {json.dumps(to)}\n")
    file.chmod(0o600)
    user.own(file)


@pytest.fixture(scope="module")
def attacked(user: User) -> Attacked:
    """Every attempt from one box."""
    if PYTHON is None:
        pytest.skip("no python3 in /usr/bin to attack with")
    cli, directory = user.cli(), user.new_directory()
    directory.chmod(0o755)
    hosts = tuple({place.rpartition(":")[0] for place in PLACES.values()})
    with Sinks(directory, hosts=hosts, names=tuple(PLACES)) as sinks:
        configure(cli, user, sinks)
        allow = [word for host in ALLOWED for word in ("--allow-host", host)]
        done = cli.run("run", *allow, "--", PYTHON, "-I", "-c", ATTACKER)
        assert (0, "") == (done.returncode, done.stderr)
        return Attacked(json.loads(done.stdout), dict(sinks.seen), cli.json("trace"))


@pytest.mark.parametrize("attempt", ENDS)
def test_the_network_withstands(attempt: str, attacked: Attacked) -> None:
    """It comes to nothing, and is told so."""
    assert ENDS[attempt] == attacked.ends[attempt]


@pytest.mark.parametrize("attempt", TWINS)
def test_what_is_no_attack_succeeds(attempt: str, attacked: Attacked) -> None:
    """The same means, put to the use they are for."""
    assert TWINS[attempt] == attacked.ends[attempt]


def test_every_attempt_is_judged(attacked: Attacked) -> None:
    """None is made whose end nobody looks at."""
    assert {*ENDS, *TWINS} == set(attacked.ends)


def test_only_what_is_allowed_arrives(attacked: Attacked) -> None:
    """At the API by TLS, at the web in the clear, and nothing anywhere else."""
    arrived = {name: [secure for secure, _ in seen] for name, seen in attacked.seen.items() if seen}
    assert {"api": [True] * 4, "web": [False] * 3} == arrived


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        ("https://api.openai.com/", "forwarded"),
        ("http://web.example/", "forwarded"),
        ("http://evil.example/", "refused"),
        ("https://evil.example/", "refused"),
        ("http://metadata/", "refused"),
        ("http://169.254.169.254/", "refused"),
        ("https://169.254.169.254/", "refused"),
        ("dns://evil.example", "refused"),
        ("dns://c2stcmVhbC1rZXk.evil.example", "refused"),
    ],
)
def test_all_of_it_is_recorded(attacked: Attacked, url: str, outcome: str) -> None:
    """As what it was, by whichever way it came."""
    assert outcome in attacked.asked(url.lower())


def test_a_name_is_recorded_once(attacked: Attacked) -> None:
    """Though it was asked for more often."""
    assert ["refused"] == attacked.asked("dns://evil.example")
