"""A proxy on the host is reached by every account of it, and serves those who have its token."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from moat.proxy.token import MAX_ROWS
from support.alone import Alone, alone, point_at
from support.cli import Cli
from support.sink import Sinks
from support.users import User

pytestmark = pytest.mark.attack

STRANGER = Path(__file__).parent / "strangers.py"
SECRET = "t0p-s3cret-value-of-mine-0123456789"
HOST = "api.example"
PLAIN = f"GET http://{HOST}:8080/ HTTP/1.1\r\nHost: {HOST}:8080\r\n"
TUNNEL = f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n"
HELLO = "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"


def basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def shown(value: str) -> str:
    return f"Proxy-Authorization: {value}\r\n"


def heads(guess: str) -> dict[str, str]:
    """What is sent; `guess` is what the stranger takes for the token."""
    password = shown(f"Basic {basic('moat:' + guess)}")
    return {
        "nothing": PLAIN + "\r\n",
        "a tunnel": TUNNEL + "\r\n",
        "a tunnel, and at once what should go through it": TUNNEL + "\r\n" + HELLO,
        "a tunnel, and at once a request": f"{TUNNEL}\r\n{PLAIN}\r\n",
        "as a password": PLAIN + password + "\r\n",
        "as a password of a tunnel": TUNNEL + password + "\r\n",
        "as a user": PLAIN + shown(f"Basic {basic(guess + ':')}") + "\r\n",
        "as a bearer": PLAIN + shown(f"Bearer {guess}") + "\r\n",
        "with nothing in it": PLAIN + shown(f"Basic {basic('moat:')}") + "\r\n",
        "with nothing at all": PLAIN + shown("Basic") + "\r\n",
        "in no base64": PLAIN + shown("Basic ====") + "\r\n",
        "twice": PLAIN + password * 2 + "\r\n",
        "as a digest": PLAIN + shown('Digest username="moat", response=""') + "\r\n",
        "in the header for servers": PLAIN + password.removeprefix("Proxy-") + "\r\n",
        "in the address": PLAIN.replace("//", f"//moat:{guess}@", 1) + "\r\n",
        "as one from here": PLAIN
        + "X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n\r\n",
        "as a header of the connection": PLAIN + "Connection: proxy-authorization\r\n\r\n",
        "with a blank before the colon": PLAIN + "Proxy-Authorization : Basic x\r\n\r\n",
        "with a folded line": PLAIN + "X: y\r\n " + password + "\r\n",
        "behind a bare line end": PLAIN + "X: y\n" + password + "\r\n",
        "in an older http": PLAIN.replace("1.1", "1.0") + "\r\n",
        "in the oldest http": f"GET http://{HOST}:8080/\r\n\r\n",
        "in a newer http": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "by tls": HELLO,
        "as a server is asked": f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
        "as itself": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "with the second in the body of the first": (
            f"{PLAIN}Content-Length: {len(PLAIN) + 2}\r\n\r\n{PLAIN}\r\n{PLAIN}\r\n"
        ),
        "with the second behind a body in chunks": (
            f"{PLAIN}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{PLAIN}{password}\r\n"
        ),
    }


# What serves whoever has the token, of all the above.
SERVED = {
    "as a password": [200],
    "as a password of a tunnel": [200],
    "as a bearer": [200],
}


NO_REQUESTS = {
    "with a blank before the colon",
    "with a folded line",
    "behind a bare line end",
    "in the oldest http",
    "in a newer http",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sinks]:
    """What the grants are for."""
    directory = tmp_path_factory.mktemp("world")
    with Sinks(directory, hosts=(HOST,), names=("tls", "clear")) as found:
        yield found


@pytest.fixture
def proxy(tmp_path: Path, world: Sinks) -> Iterator[Alone]:
    """One with a grant, started by whoever runs the tests."""
    home, workspace = tmp_path / "home", tmp_path / "workspace"
    home.mkdir(mode=0o700)
    workspace.mkdir()
    cli = Cli(home, workspace)
    point_at(cli, world, {f"{HOST}:443": "tls", f"{HOST}:8080": "clear"})
    done = cli.run("grant", "header", "mine", "--host", HOST, stdin=SECRET)
    assert 0 == done.returncode, done.stderr
    for seen in world.seen.values():
        seen.clear()
    with alone(cli, "--grant", "mine", "--allow-host", f"{HOST}:8080") as found:
        yield found


def token_of(proxy: Alone) -> str:
    return proxy.address.partition("moat:")[2].partition("@")[0]


def attack(
    proxy: Alone, user: User, sent: Mapping[str, str], files: tuple[Path, ...] = ()
) -> dict[str, Any]:
    """Have a user send it; how each was answered, and what could be read."""
    asked = {"port": proxy.port, "heads": dict(sent), "files": list(map(str, files))}
    done = subprocess.run(
        [*user.become, str(user.python), "-I", "-c", STRANGER.read_text()],
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def stranger(users: dict[str, User]) -> User:
    """Another account than the one the proxy runs as."""
    if "root" not in users or "unprivileged" not in users:
        pytest.skip("the tests are not run by root")
    return users["unprivileged"]


def test_a_stranger_without_the_token_gets_nothing(
    proxy: Alone, world: Sinks, stranger: User
) -> None:
    """However it is asked: 407, or a refusal of what is no request; nobody upstream hears of it."""
    answers = attack(proxy, stranger, heads("A" * 43))["answers"]
    assert set(heads("")) == set(answers)
    assert "b''" == answers.pop("by tls")
    assert NO_REQUESTS == {name for name, statuses in answers.items() if statuses == [400]}
    assert [[407]] * (len(answers) - len(NO_REQUESTS)) == [
        statuses for name, statuses in answers.items() if name not in NO_REQUESTS
    ]
    assert {"tls": [], "clear": []} == world.seen
    assert {"refused"} == {row["outcome"] for row in proxy.trace()}


def test_whoever_has_the_token_is_served(proxy: Alone, world: Sinks, stranger: User) -> None:
    """The twin: what keeps the stranger out is the token, where and as it has to be shown."""
    answers = attack(proxy, stranger, heads(token_of(proxy)))["answers"]
    assert SERVED == {name: found for name, found in answers.items() if found[:1] == [200]}
    assert 2 == len(world.seen["clear"])
    sent = b"".join(head for _, head in world.seen["clear"])
    assert b"proxy-authorization" not in sent.lower()


def test_a_stranger_cannot_find_the_token(
    proxy: Alone, stranger: User, users: dict[str, User]
) -> None:
    """Neither in a command line nor in a file; the twin, who runs it, finds the certificate."""
    directory, pid = proxy.stage.parent, proxy.process.pid
    files = (
        *(Path(f"/proc/{pid}/environ"), Path(f"/proc/{pid}/mem"), Path(f"/proc/{pid}/fd/1")),
        *(Path(proxy.said["ca"]), directory / "run.json", directory / "trace.db"),
        *(directory / "supervisor.log", proxy.cli.home / "ca" / "ca.key"),
    )
    found = attack(proxy, stranger, {}, files)["files"]
    assert f"/proc/{pid}/cmdline" in found
    assert not [name for name, content in found.items() if token_of(proxy) in content]
    assert {"Permission denied"} == {found[str(file)] for file in files}
    own = attack(proxy, users["root"], {}, files[3:5])["files"]
    assert own[proxy.said["ca"]].startswith("-----BEGIN CERTIFICATE-----")
    assert not [name for name, content in own.items() if token_of(proxy) in content]


def test_one_who_guesses_on_and_on_fills_no_trace(proxy: Alone) -> None:
    """So many rows, of which the last says how many there were; what is allowed has its own."""
    for number in range(300):
        with socket.create_connection(("127.0.0.1", proxy.port)) as wire:
            # Half of them cannot even be read, which is recorded no more often.
            guess = shown(f"Bearer {number:043}") if number % 2 else "no header\r\n"
            wire.sendall(f"{PLAIN}{guess}\r\n".encode())
            assert wire.recv(1 << 16).startswith(b"HTTP/1.1 40")
    assert "200" == proxy.status(f"http://{HOST}:8080/")
    *strangers, last = proxy.trace()
    assert MAX_ROWS == len(strangers)
    assert strangers[-1]["error"].endswith("; 256 requests so far that did not show the token")
    assert ("forwarded", 200) == (last["outcome"], last["status"])


def test_one_who_has_the_token_is_recorded_each_time(proxy: Alone) -> None:
    """The twin: as many mistakes of a client that was let in have as many rows."""
    token = token_of(proxy)
    for _ in range(MAX_ROWS + 10):
        with socket.create_connection(("127.0.0.1", proxy.port)) as wire:
            wire.sendall(f"GET / HTTP/1.1\r\n{shown(f'Bearer {token}')}\r\n".encode())
            assert wire.recv(1 << 16).startswith(b"HTTP/1.1 400")
    assert MAX_ROWS + 10 == len(proxy.trace())
