"""The real Codex does its work with a key that is nowhere it could be found."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from conftest import MakeStandIn
from moat.providers.codex.constants import OPENAI_API_KEY_PLACEHOLDER
from standin import Say, Shell
from support.cli import REAL_KEY, Cli
from support.processes import children, descendants, memory_of, wait_until
from support.standin import RunningStandIn
from support.users import User, link_tree

pytestmark = pytest.mark.e2e

PYTHON = shutil.which("python3", path="/usr/bin:/bin")
SEARCH = (Path(__file__).parent / "search.py").read_text()
NO_WORK = shutil.ignore_patterns(".work")
PLANTED = "sk-planted-to-show-that-the-search-finds"
REAL_DIGEST = hashlib.sha256(f"Bearer {REAL_KEY}".encode()).hexdigest()
SPELLINGS = {
    spelling
    for key in (REAL_KEY.encode(), f"Bearer {REAL_KEY}".encode())
    for spelling in (key, base64.b64encode(key).rstrip(b"="), key.hex().encode(), key[::-1])
} | {quote(f"Bearer {REAL_KEY}").encode()}


def assert_holds_no_key(content: bytes, where: object) -> None:
    assert not [spelling for spelling in SPELLINGS if spelling in content], where


def assert_directory_holds_no_key(directory: Path) -> None:
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert files
    for file in files:
        assert_holds_no_key(file.read_bytes(), file)


@pytest.fixture(params=["websocket", "sse"])
def websocket(request: pytest.FixtureRequest) -> bool:
    """Codex comes by WebSocket, and where there is none, by POST and server-sent events."""
    return bool(request.param == "websocket")


def test_codex_works_with_a_key_it_cannot_find(
    user: User, user_codex: Cli, make_standin: MakeStandIn, websocket: bool
) -> None:
    """The task is done, the real key was in every request, and nowhere else: not in the box, as
    searched by the agent itself, not in what Moat printed and not in what it kept."""
    if PYTHON is None:
        pytest.skip("no python3 in /usr/bin to search the box with")
    standin = make_standin(
        script=(
            Shell(f"{PYTHON} -I search.py > found.json"),
            Shell("echo written by codex > from-codex.txt"),
            Say("I wrote from-codex.txt."),
        ),
        websocket=websocket,
    )
    workspace = user_codex.workspace
    (workspace / "search.py").write_text(SEARCH)
    (workspace / "planted.txt").write_text(PLANTED)
    user_codex.point_at(standin)
    user_codex.grant()
    granting = len(standin.server.seen)

    done = user_codex.run("codex", "-p", "write the file")

    assert (0, "I wrote from-codex.txt.\n") == (done.returncode, done.stdout), done.stderr
    assert "written by codex\n" == (workspace / "from-codex.txt").read_text()
    seen = standin.server.seen[granting:]
    assert {REAL_DIGEST} == {request.authorization_digest for request in seen}
    statuses = {request.status for request in seen}
    assert ({101} if websocket else {426, 200}) == statuses
    answer = json.loads((workspace / "found.json").read_text())
    assert {OPENAI_API_KEY_PLACEHOLDER, PLANTED} <= answer["found"].keys()
    held = answer["found"][OPENAI_API_KEY_PLACEHOLDER]
    assert "/home/agent/.codex/auth.json" in held
    assert any(place.endswith("/environ") for place in held)
    assert any(place.endswith("/mem") for place in held)
    assert not [key for key in answer["found"] if REAL_KEY[3:15] in key]
    assert_directory_holds_no_key(user_codex.home)  # the vault is sealed
    assert_directory_holds_no_key(workspace)
    assert_holds_no_key((done.stdout + done.stderr).encode(), "what moat printed")


def test_the_key_is_in_the_supervisor_alone(
    user: User, user_codex: Cli, make_standin: MakeStandIn
) -> None:
    """While Codex works, the memory of no process but its supervisor holds the key."""
    if "root" not in (user.name, *Path("/proc/self").owner().split()):
        pytest.skip("only root may look into the memory of everybody")
    standin = make_standin(
        script=(
            Shell("touch ready; while [ ! -e go ]; do sleep 0.05; done"),
            Say("done"),
        )
    )
    user_codex.point_at(standin)
    user_codex.grant()
    workspace = user_codex.workspace

    with user_codex.started("codex", "-p", "wait") as client:
        wait_until((workspace / "ready").exists, seconds=60, what="Codex asked the API")
        (supervisor,) = children(client.pid)
        box = descendants(supervisor)
        run = user_codex.home / "runs" / user_codex.runs()[0]["run"]
        memories = {pid: memory_of(pid) for pid in (supervisor, client.pid, *box)}
        commands = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in box}
        kept = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
        (workspace / "go").touch()
        out, err = client.communicate(timeout=60)

    assert (0, "done\n") == (client.returncode, out), err
    assert REAL_KEY.encode() in memories.pop(supervisor)
    assert {"bwrap", "codex"} <= commands
    assert any(OPENAI_API_KEY_PLACEHOLDER.encode() in memory for memory in memories.values())
    for pid, memory in memories.items():
        assert_holds_no_key(memory, pid)
    assert {"run.json", "transcript.log", "trace.db"} <= {file.name for file in kept}
    for file, content in kept.items():
        assert_holds_no_key(content, file)


def test_an_echoed_key_does_not_come_back(user_codex: Cli, make_standin: MakeStandIn) -> None:
    """An API that repeats the key in its answers, in headers and in text, does not tell the box."""
    standin = make_standin(echo_authorization=True, websocket=False)
    user_codex.point_at(standin)
    user_codex.grant()

    done = user_codex.run("codex", "-p", "write the file")

    assert done.returncode == 0, done.stderr
    assert "I wrote from-codex.txt. [" in done.stdout  # the echo was there
    assert_holds_no_key((done.stdout + done.stderr).encode(), "what moat printed")
    assert_directory_holds_no_key(user_codex.home)


WITHOUT_INJECTION = """
import sys
from moat.cli.main import main
from moat.providers.codex.provider import Provider
Provider.configure_proxy = lambda self, proxy, facts: None
if sys.argv.pop(1) == "no watch":
    import moat.engine.exchange
    moat.engine.exchange.find_in_head = lambda request, session: None
sys.exit(main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Refused:
    """How a run ended whose key was not taken."""

    cli: Cli
    code: int
    printed: str
    seen: set[tuple[str | None, int]]


@pytest.fixture(scope="module")
def refused(users: dict[str, User], tool_home: Path) -> dict[str, Refused]:
    """Codex without injection, and with a key the API no longer takes: side by side, as it tries
    again and again for a quarter of a minute."""
    with ExitStack() as stack:
        enter = stack.enter_context
        started = {}
        for name in ("no injection", "no watch", "revoked"):
            user = next(iter(users.values()))
            cli, place = user.cli(), user.new_directory()
            link_tree(
                tool_home / "tools", cli.home / "tools", ignore=shutil.ignore_patterns(".work")
            )
            standin = enter(RunningStandIn(place / "first", key=REAL_KEY))
            cli.point_at(standin)
            cli.grant()
            command = cli.command("codex", "-p", "write the file")
            if name != "revoked":
                command = [*cli.python, "-P", "-c", WITHOUT_INJECTION, name, *command[-3:]]
            else:
                standin = enter(RunningStandIn(place / "second", key="sk-not-the-granted-one"))
                cli.point_at(standin)
            before = len(standin.server.seen)
            started[name] = cli, enter(cli.started(command=command)), standin, before
        ended = {}
        for name, (cli, process, standin, before) in started.items():
            printed = "".join(process.communicate(timeout=120))
            seen = {
                (item.authorization_digest, item.status) for item in standin.server.seen[before:]
            }
            ended[name] = Refused(cli, process.returncode, printed, seen)
        return ended


def test_without_injection_codex_fails(refused: dict[str, Refused]) -> None:
    """It is Moat that puts the key in: with that switched off the API sees the placeholder."""
    run = refused["no watch"]
    placeholder = hashlib.sha256(f"Bearer {OPENAI_API_KEY_PLACEHOLDER}".encode()).hexdigest()
    assert (1, {(placeholder, 401)}) == (run.code, run.seen), run.printed
    assert not (run.cli.workspace / "from-codex.txt").exists()


def test_a_placeholder_whose_grant_is_for_nothing_goes_nowhere(refused: dict[str, Refused]) -> None:
    """Nor does the API see it, where nothing binds the grant to it: it stays in the run."""
    run = refused["no injection"]
    assert (1, set()) == (run.code, run.seen), run.printed
    assert "placeholder-leak" in run.printed


def test_a_rejected_key_is_a_failure(refused: dict[str, Refused]) -> None:
    """When the API no longer takes the key, Codex fails, and so does moat."""
    run = refused["revoked"]
    assert (1, {(REAL_DIGEST, 401)}) == (run.code, run.seen), run.printed
    assert "401" in run.printed
    assert_holds_no_key(run.printed.encode(), "what moat printed")
    assert ("stopped", 1) == (run.cli.runs()[0]["state"], run.cli.runs()[0]["exit_code"])
