"""An API that repeats the key it got brings nothing of it into the box; others are left alone."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from attacks.echoing import ANSWERS, CODINGS, SPELLINGS, UNKNOWN, EchoServer, Seen, body, frame
from support.cli import REAL_KEY, Cli
from support.users import User

pytestmark = pytest.mark.attack

PYTHON = shutil.which("python3", path="/usr/bin:/bin")
ASKING = (Path(__file__).parent / "echo_asking.py").read_text()
API, OTHER = "api.openai.com", "other.example"
OWN = "sk-fake-0123456789abcdef0123456789abcdef"
STARS = b"*" * len(REAL_KEY)
PATHS = [path for path in ANSWERS if path not in ("/v1/models", "/go")]

UNSEEN = """
import sys
from moat.engine import exchange
exchange.cleaner_for = lambda response, secrets: (response, None)
exchange.prepare_request = lambda request: request
from moat.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Answered:
    """A raw answer, taken apart."""

    raw: bytes

    @property
    def status(self) -> int:
        return int(self.raw.split()[1])

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        data = self.raw.partition(b"\r\n\r\n")[2]
        return dechunked(data) if b"transfer-encoding: chunked" in self.head.lower() else data


def dechunked(data: bytes) -> bytes:
    content = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            break
        content, data = content + data[:length], data[length + 2 :]
    return content


@dataclass
class Asked:
    """What came back into the box from whom, and what arrived there."""

    answers: dict[str, str]
    seen: list[Seen]

    def answer(self, host: str, path: str) -> Answered:
        return Answered(base64.b64decode(self.answers[f"{host} {path}"], validate=True))


def ask(user: User, *moat: str) -> Asked:
    """Ask for everything from one box."""
    if PYTHON is None:
        pytest.skip("no python3 in /usr/bin to attack with")
    cli, directory = user.cli(), user.new_directory()
    directory.chmod(0o755)
    with EchoServer(directory, (API, OTHER)) as server:
        configure(cli, user, server)
        cli.grant(REAL_KEY)
        server.seen.clear()
        words = (
            "run",
            "--grant",
            "openai",
            "--allow-host",
            OTHER,
            "--",
            PYTHON,
            "-I",
            "-c",
            ASKING,
        )
        command = [*cli.python, "-P", *moat, *words] if moat else cli.command(*words)
        done = subprocess.run(
            [*command, ASKING, *PATHS],
            cwd=cli.workspace,
            env=cli.environ(),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert (0, "") == (done.returncode, done.stderr)
        return Asked(json.loads(done.stdout), list(server.seen))


@pytest.fixture(scope="module")
def asked(user: User) -> Asked:
    """Moat as it is."""
    return ask(user)


def configure(cli: Cli, user: User, server: EchoServer) -> None:
    """Let both hosts be the server."""
    to = {f"{host}:443": f"127.0.0.1:{server.port}" for host in (API, OTHER)}
    file = cli.home / "config.yaml"
    file.write_text(f"upstream:\n  ca_file: {server.ca_file}\n  connect_to: {json.dumps(to)}\n")
    file.chmod(0o600)
    user.own(file)


@pytest.mark.parametrize("path", PATHS)
def test_the_server_got_the_key_and_the_box_did_not(asked: Asked, path: str) -> None:
    """Not in any spelling; else none of this would show anything."""
    keys = [seen.key for seen in asked.seen if seen.path == path]
    assert {REAL_KEY, OWN} == set(keys)
    raw = asked.answer(API, path).raw
    for spell in SPELLINGS.values():
        assert spell(REAL_KEY) not in raw
    assert REAL_KEY.encode()[:12] not in raw


@pytest.mark.parametrize("cut", ["", "/bytewise"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_what_is_spelled_is_stars(asked: Asked, name: str, cut: str) -> None:
    """In whatever pieces it comes; as many as there were bytes, and nothing else is touched."""
    hidden = SPELLINGS[name](REAL_KEY)
    seen = asked.answer(API, f"{cut}/{name}")
    assert 200 == seen.status
    before, after = body(b"\0").split(b"\0")
    assert seen.body.startswith(before)
    assert seen.body.endswith(after)
    assert len(body(hidden)) == len(seen.body)
    (stars,) = re.findall(rb"\*+", seen.body)
    assert len(stars) >= len(REAL_KEY)


@pytest.mark.parametrize("name", CODINGS)
def test_what_was_coded_comes_without_its_coding(asked: Asked, name: str) -> None:
    """And without the key."""
    seen = asked.answer(API, f"/coded/{quote(name, safe='')}")
    assert (200, body(STARS)) == (seen.status, seen.body)
    assert b"content-encoding" not in seen.head.lower()


@pytest.mark.parametrize(
    "path", [*(f"/unknown/{number}" for number in range(len(UNKNOWN))), "/utf-16", "/part"]
)
def test_what_cannot_be_looked_through_is_refused(asked: Asked, path: str) -> None:
    """With a reason, instead of the answer."""
    seen = asked.answer(API, path)
    problem = json.loads(seen.body)
    assert (502, "urn:moat:problem:answer-encoding") == (seen.status, problem["type"])


@pytest.mark.parametrize("path", ["/no-gzip", "/cut-gzip", "/bomb"])
def test_what_turns_out_to_be_no_coding_is_refused_or_cut(asked: Asked, path: str) -> None:
    """An answer that had begun is cut, so that nobody takes it for a whole one."""
    seen = asked.answer(API, path)
    if seen.status == 502:
        assert "urn:moat:problem:answer-encoding" == json.loads(seen.body)["type"]
    else:
        assert not seen.raw.endswith(b"0\r\n\r\n")
    assert len(seen.raw) < 64 << 20


def test_heads_are_looked_through(asked: Asked) -> None:
    """Reason, names and values of fields, those of an early answer, and trailers."""
    head = asked.answer(API, "/fields").head
    assert head.startswith(b"HTTP/1.1 401 Not " + STARS)
    assert b"\r\nX-Echo: Bearer " + STARS in head
    assert b"\r\nx-" + STARS + b": 1" in head
    assert b"\r\nLocation: /?key=" + b"*" * len(SPELLINGS["percent"](REAL_KEY)) in head
    early = asked.answer(API, "/early").raw
    assert early.startswith(b"HTTP/1.1 103 ")
    assert b"Link: " + STARS in early
    assert b"X-Echo: " + STARS in asked.answer(API, "/trailers").raw


def test_a_body_that_ends_with_the_connection_is_looked_through(asked: Asked) -> None:
    """Both halves of the key."""
    assert STARS == asked.answer(API, "/rest").body


def test_an_event_does_not_wait_for_the_next(asked: Asked) -> None:
    """Though it is coded, and the key is in the next."""
    assert b"data: first\n\ndata: " + STARS + b"\n\n" == asked.answer(API, "/events").body


def test_websockets_are_looked_through(asked: Asked) -> None:
    """A key in two frames, with a ping in between; the reason of the end."""
    seen = asked.answer(API, "/websocket")
    assert 101 == seen.status
    expected = [
        frame(0x01, b"you: " + STARS[:9]),
        frame(0x89, b"?"),
        frame(0x80, STARS[9:] + b"!"),
        frame(0x88, b"\x03\xe8" + STARS),
    ]
    assert b"".join(expected) == seen.body


def test_a_websocket_that_is_compressed_is_refused(asked: Asked) -> None:
    """Nobody asked for that."""
    assert 502 == asked.answer(API, "/deflated").status


def test_nothing_is_asked_for_that_could_not_be_looked_through(asked: Asked) -> None:
    """By a box that asks for all of it: parts, codings, compression within."""
    requests = [seen for seen in asked.seen if seen.key == REAL_KEY]
    assert len(requests) >= len(PATHS)
    accepted = {seen.fields.get("accept-encoding") for seen in requests}
    assert {"gzip, deflate, br, zstd", None} == accepted
    for seen in requests:
        assert not {"range", "sec-websocket-extensions"} & set(seen.fields)


@pytest.mark.parametrize("path", PATHS)
def test_the_answers_of_others_stay_as_they_are(asked: Asked, path: str) -> None:
    """They got what the box itself sent, and may send back what they like."""
    seen, sent = asked.answer(OTHER, path), Answered(b"".join(ANSWERS[path](OWN)))
    if path == "/early":
        assert OWN.encode() in seen.raw
        return
    assert (sent.status, sent.body) == (seen.status, seen.body)
    for line in sent.head.split(b"\r\n")[1:]:
        assert line.lower().startswith(b"connection") or line in seen.head


def test_others_are_asked_for_what_the_box_asks_for(asked: Asked) -> None:
    """Word for word."""
    requests = [seen for seen in asked.seen if seen.key == OWN]
    assert "bytes=0-8" in {seen.fields.get("range") for seen in requests}
    assert "gzip, deflate, br, zstd, dcb, *;q=0.1" in {
        seen.fields.get("accept-encoding") for seen in requests
    }


def test_without_a_look_at_answers_the_key_would_be_in_the_box(users: dict[str, User]) -> None:
    """It is that look which keeps it out, and these tests would see it."""
    asked = ask(next(iter(users.values())), "-c", UNSEEN)
    for path in PATHS:
        if path != "/early":
            sent = Answered(b"".join(ANSWERS[path](REAL_KEY)))
            assert sent.body == asked.answer(API, path).body
