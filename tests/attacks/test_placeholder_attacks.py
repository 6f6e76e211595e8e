"""A placeholder becomes the secret in its own place, and goes to no other."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from moat.providers.placeholder import placeholder_of
from support.cli import Cli
from support.sink import Sinks

pytestmark = pytest.mark.attack

SENDING = (Path(__file__).parent / "sending.sh").read_text()
SECRET = "t0p-s3cret/value+0123"
FORGED = 'f0rge"d&value 0123'
HOSTS = ("api.example", "evil.example", "git.example", "paths.example")
PLACES = {host: f"{host}:443" for host in HOSTS} | {"clear": "api.example:80"}
ALLOWED = ("evil.example", "api.example:80", "paths.example")
REDIRECT = (
    b"HTTP/1.1 302 Found\r\nLocation: https://evil.example/landed\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)

GRANTS = {
    "mine": (SECRET, "--host", "api.example", "--header", "X-Mine", "--env", "TOKEN"),
    "forge": (
        FORGED,
        *("--host", "git.example", "--substitute", "header:Authorization"),
        *("--host", "git.example", "--substitute", "query:key"),
        *("--host", "git.example", "--substitute", "body"),
        *("--env", "FORGE"),
    ),
    "part": (SECRET[::-1], "--host", "paths.example", "--path", "/v1/**"),
}
# What each attack sent its placeholder in.
LEAKS = {
    "in_a_header": "header:mine",
    "as_bearer": "header:mine",
    "as_basic": "header:mine",
    "in_a_path": "header:mine",
    "in_a_query": "header:mine",
    "percent_encoded": "header:mine",
    "in_base64": "header:mine",
    "in_a_body": "header:mine",
    "in_a_json_body": "header:mine",
    "in_a_base64_body": "header:mine",
    "in_a_chunked_body": None,  # holds all there are
    "in_a_gzip_body": None,
    "late_in_a_body": "header:mine",
    "of_another_grant": "header:forge",
    "in_the_clear": "header:mine",
}


@dataclass
class Sent:
    """How each request was answered, what arrived where, and what the trace says of it."""

    answers: dict[str, int]
    seen: dict[str, list[tuple[bool, bytes]]]
    bodies: dict[str, list[bytes]]
    trace: list[dict[str, Any]]

    def arrived(self, place: str, path: str) -> tuple[bytes, bytes]:
        """Head, in small letters but for its values, and body of the one request for a path."""
        (found,) = [
            (head, body)
            for (_, head), body in zip(self.seen[place], self.bodies[place], strict=True)
            if head.split(b" ")[1].decode().partition("?")[0] == path
        ]
        return found

    def everything(self, place: str) -> bytes:
        """All that a server was sent."""
        return b"".join([*(head for _, head in self.seen[place]), *self.bodies[place]])


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """One box from which all of it is sent."""
    if shutil.which("curl", path="/usr/bin:/bin") is None:
        pytest.skip("no curl in /usr/bin to attack with")
    directory = tmp_path_factory.mktemp("placeholders")
    home, workspace = directory / "home", directory / "workspace"
    home.mkdir(mode=0o700)
    workspace.mkdir()
    cli = Cli(home, workspace)
    with Sinks(
        directory, hosts=HOSTS, names=tuple(PLACES), answers={"/redirect": REDIRECT}
    ) as sinks:
        to = {place: f"127.0.0.1:{sinks.ports[name]}" for name, place in PLACES.items()}
        settings = home / "config.yaml"
        settings.write_text(
            f"upstream:\n  ca_file: {sinks.ca_file}\n  connect_to: {json.dumps(to)}\n"
        )
        settings.chmod(0o600)
        words = []
        for name, (secret, *options) in GRANTS.items():
            done = cli.run("grant", "header", name, *options, stdin=secret)
            assert 0 == done.returncode, done.stderr
            words += ["--grant", name]
        for host in ALLOWED:
            words += ["--allow-host", host]
        done = cli.run("run", *words, "--", "sh", "-c", SENDING)
        assert 0 == done.returncode, done.stderr
        assert done.stderr.startswith("moat: alarm: the placeholder of "), done.stderr
        answers = {line.split()[0]: int(line.split()[1]) for line in done.stdout.splitlines()}
        yield Sent(answers, sinks.seen, sinks.bodies, cli.json("trace"))


# in its own place


def test_the_credential_arrives_and_the_boxs_own_does_not(sent: Sent) -> None:
    """In its header, over TLS; other logins of the box are taken out."""
    assert [200, 200] == [sent.answers["plain"], sent.answers["with_own"]]
    for path in ("/items", "/own"):
        head, _ = sent.arrived("api.example", path)
        assert f"\r\nX-Mine: {SECRET}\r\n".encode() in head
        assert b"own" not in head.partition(b"\r\n")[2]
    assert all(secure for secure, _ in sent.seen["api.example"])


def test_a_placeholder_may_go_to_its_own_place(sent: Sent) -> None:
    """The twin of the attacks: in a header that is taken out there, and in one that is not."""
    assert 200 == sent.answers["with_placeholder"]
    head, _ = sent.arrived("api.example", "/placeholder")
    assert f"\r\nX-Mine: {SECRET}\r\n".encode() in head


def test_a_redirect_leads_to_nobody_elses_credential(sent: Sent) -> None:
    """The client follows it, and where it leads gets nothing."""
    assert 200 == sent.answers["redirected"]
    assert SECRET.encode() not in sent.everything("evil.example")
    heads = [head for _, head in sent.seen["evil.example"] if b"/landed" in head]
    assert heads
    assert not any(b"x-mine" in head.lower() for head in heads)


def test_a_secret_is_put_in_the_place_of_a_placeholder(sent: Sent) -> None:
    """Within Basic credentials, in a query and in JSON, each as it is written there."""
    assert [200] * 3 == [sent.answers[name] for name in ("basic", "query", "json")]
    head, _ = sent.arrived("git.example", "/basic")
    basic = base64.b64encode(f"me:{FORGED}".encode())
    assert b"\r\nAuthorization: Basic " + basic + b"\r\n" in head
    head, _ = sent.arrived("git.example", "/query")
    assert b"GET /query?key=f0rge%22d%26value%200123 HTTP/1.1" in head
    _, body = sent.arrived("git.example", "/json")
    assert json.dumps({"token": FORGED}).encode() in body


def test_what_is_for_some_paths_goes_to_no_others(sent: Sent) -> None:
    """Also where the host may be reached."""
    assert [200, 200] == [sent.answers["bound_path"], sent.answers["another_path"]]
    head, _ = sent.arrived("paths.example", "/v1/items")
    assert f"\r\nAuthorization: Bearer {SECRET[::-1]}\r\n".encode() in head
    head, _ = sent.arrived("paths.example", "/v2/items")
    assert b"authorization" not in head.lower()


# elsewhere


def test_what_holds_no_placeholder_goes(sent: Sent) -> None:
    """The twin: to the same host, also with the word that placeholders have in common."""
    assert [200, 200] == [
        sent.answers["elsewhere_without"],
        sent.answers["elsewhere_with_body"],
    ]


def test_no_secret_went_anywhere_else(sent: Sent) -> None:
    """As it is, or encoded."""
    for place in ("evil.example", "clear"):
        everything = sent.everything(place)
        for secret in (SECRET, FORGED, SECRET[::-1]):
            assert secret.encode() not in everything
            assert base64.b64encode(secret.encode())[:16] not in everything


@pytest.mark.parametrize("attack", LEAKS)
def test_a_placeholder_on_its_way_elsewhere_is_refused(sent: Sent, attack: str) -> None:
    """Raw, percent-encoded, base64, packed; in the head or late in a body."""
    assert 403 == sent.answers[attack]


def test_nobody_else_gets_a_placeholder(sent: Sent) -> None:
    """Not whole, in any spelling that was tried."""
    for place in ("evil.example", "clear"):
        everything = sent.everything(place)
        for name in GRANTS:
            placeholder = placeholder_of(f"header:{name}").encode()
            assert placeholder not in everything
            assert placeholder.hex().encode() not in everything.replace(b"%", b"")
            assert base64.b64encode(b"x" + placeholder)[4:-4] not in everything


def test_the_alarm_names_the_grant(sent: Sent) -> None:
    """In the trace, which is where it is looked for; requests that were in order raise none."""
    alarms = [entry["alarm"] for entry in sent.trace if entry["alarm"]]
    # One for each attack, and one for the redirect that was followed with the placeholder.
    assert len(LEAKS) + 1 == len(alarms)
    for grant in filter(None, LEAKS.values()):
        assert any(f"the placeholder of {grant} " in alarm for alarm in alarms)
    assert not any(placeholder_of("header:mine") in alarm for alarm in alarms)
    heads = [name for name in LEAKS if not name.endswith("body")]
    refused = [entry for entry in sent.trace if entry["alarm"] and entry["outcome"] == "refused"]
    assert len(heads) + 1 <= len(refused)


def test_what_raised_an_alarm_was_refused(sent: Sent) -> None:
    """Whether it stood in a head or in a body."""
    assert {"refused"} == {entry["outcome"] for entry in sent.trace if entry["alarm"]}
