"""A real run in ask mode: its requests wait, and go or not as somebody says, wherever that is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.cli import Cli
from support.drip import Drip
from support.processes import wait_until
from support.pty import Terminal
from support.sink import Sinks
from support.tmux import Tmux

HOSTS = ("a.example.com", "b.example.com")
ASK = "curl -s -o /dev/null -w '%{http_code}\\n' "
PROMPT = b"then Enter: "

pytestmark = pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="needs curl in /usr")


class Runs:
    """`moat` whose upstreams are a server that says yes to everything."""

    def __init__(self, cli: Cli, sinks: Sinks) -> None:
        self.cli = cli
        self.sinks = sinks
        self.settings()

    def settings(
        self, network: str = "", places: str | None = None, ca_file: Path | None = None
    ) -> None:
        """Write config.yaml."""
        file = self.cli.home / "config.yaml"
        places = places or "\n".join(
            f'    "{host}:443": "127.0.0.1:{self.sinks.ports["sink"]}"' for host in HOSTS
        )
        file.write_text(
            f"upstream:\n  ca_file: {ca_file or self.sinks.ca_file}\n"
            f"  connect_to:\n{places}\n{network}"
        )
        file.chmod(0o600)

    def words(self, script: str, *options: str) -> tuple[str, ...]:
        """What is typed to start a run in ask mode."""
        return ("run", "--policy", "ask", *options, "--", "sh", "-c", script)

    def waiting(self, count: int = 1) -> list[dict[str, Any]]:
        """What waits, as soon as so much does."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            done = self.cli.run("approve", "--json")
            found[:] = json.loads(done.stdout) if done.returncode == 0 else []
            return len(found) == count

        wait_until(look, seconds=30, what=f"{count} questions are asked")
        return found

    def heard(self) -> int:
        """How many requests reached the server."""
        return len(self.sinks.seen["sink"])

    def trace(self) -> list[tuple[str, int]]:
        """What became of each request."""
        return [(entry["outcome"], entry["status"]) for entry in self.cli.json("trace")]

    def decisions(self) -> list[tuple[str, str, str, str]]:
        """What was written down in the latest run."""
        (run, *_) = self.cli.runs()
        lines = (self.cli.home / "runs" / run["run"] / "decisions.jsonl").read_text().splitlines()
        said = map(json.loads, lines)
        return [(x["action"], x["subject"], x["extent"], x["by"]) for x in said]


@pytest.fixture
def runs(cli: Cli, tmp_path: Path) -> Iterator[Runs]:
    with Sinks(tmp_path / "sinks", hosts=HOSTS, names=("sink",)) as sinks:
        yield Runs(cli, sinks)


def ended(process: subprocess.Popen[str]) -> list[str]:
    """What a run printed, once it has ended well."""
    printed, said = process.communicate(timeout=60)
    assert 0 == process.returncode, said
    return printed.split()


def test_a_request_waits_until_it_is_approved(runs: Runs) -> None:
    """Nothing reaches the server before; for once, the next one waits again."""
    script = f"{ASK} https://a.example.com/x?key=1; {ASK} https://a.example.com/y"
    with runs.cli.started(*runs.words(script)) as process:
        (question,) = runs.waiting()
        assert ("a.example.com", "GET", "https://a.example.com/x?key=***") == (
            question["host"],
            question["method"],
            question["url"],
        )
        assert 0 == runs.heard()
        assert 0 == runs.cli.run("approve", str(question["id"]), "--once").returncode
        (question,) = runs.waiting()
        assert "https://a.example.com/y" == question["url"]
        assert 1 == runs.heard()
        assert 0 == runs.cli.run("approve", str(question["id"]), "--deny").returncode
        assert ["200", "403"] == ended(process)
    assert 1 == runs.heard()
    assert [("forwarded", 200), ("refused", 403)] == runs.trace()
    assert [
        ("allow", "GET https://a.example.com", "once", "moat approve"),
        ("deny", "a.example.com:443", "run", "moat approve"),
    ] == runs.decisions()


def test_a_run_is_allowed_and_denied_hosts_as_it_goes(runs: Runs) -> None:
    """What waits goes on, what comes later needs no question; and no longer once it is denied."""
    script = f"for i in 1 2; do {ASK} https://a.example.com/; done; read line; {ASK} https://a.example.com"
    with runs.cli.started(*runs.words(script), stdin=subprocess.PIPE) as process:
        runs.waiting()
        assert "answer" in runs.cli.run("allow", "a.example.com").stderr
        wait_until(lambda: runs.heard() == 2, what="both have gone")
        assert 0 == runs.cli.run("deny", "a.example.com").returncode
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert ["200", "200", "403"] == ended(process)


def test_a_strict_run_is_changed_as_well(runs: Runs) -> None:
    """By `--once` for one request, else for all; a refusal says what to type."""
    ask = f"{ASK} https://a.example.com"
    script = f"{ask}; for i in 1 2; do read line; {ask}; done"
    words = ("run", "--", "sh", "-c", script)
    with runs.cli.started(*words, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert "403\n" == process.stdout.readline()
        assert 0 == runs.cli.run("allow", "a.example.com", "--once").returncode
        process.stdin.write("\n")
        process.stdin.flush()
        assert "200\n" == process.stdout.readline()
        process.stdin.write("\n")
        process.stdin.flush()
        assert ["403"] == ended(process)


def test_without_an_answer_it_is_refused(runs: Runs) -> None:
    """After a while, which the settings say."""
    runs.settings("network:\n  ask_timeout: 1\n")
    done = runs.cli.run(*runs.words(f"{ASK} https://a.example.com"))
    assert (0, "403\n") == (done.returncode, done.stdout)
    assert "moat: the run waits to reach a.example.com; to answer: moat approve\n" in done.stderr
    assert 0 == runs.heard()
    assert [
        ("deny", "GET https://a.example.com", "once", "no answer within 1 s")
    ] == runs.decisions()


def test_always_holds_for_the_next_run(runs: Runs) -> None:
    """Which asks nothing."""
    with runs.cli.started(*runs.words(f"{ASK} https://a.example.com")) as process:
        (question,) = runs.waiting()
        assert 0 == runs.cli.run("approve", str(question["id"]), "--always").returncode
        assert ["200"] == ended(process)
    assert ["200"] == runs.cli.run(
        "run", "--", "sh", "-c", f"{ASK} https://a.example.com"
    ).stdout.split()


def test_a_local_service_can_be_approved(runs: Runs) -> None:
    """Who is asked about this very address and port has named it; for once and for the run."""
    place = f"localhost:{runs.sinks.ports['sink']}"
    ask = f"curl -s -o /dev/null -w '%{{http_code}}\\n' --noproxy '' http://{place}"
    with runs.cli.started(*runs.words(f"{ask}; {ask}")) as process:
        for options in (("--once",), ()):
            (question,) = runs.waiting()
            assert (place, True) == (question["host"], question["inside"])
            assert 0 == runs.cli.run("approve", str(question["id"]), *options).returncode
        assert ["200", "200"] == ended(process)


def test_what_was_allowed_once_goes_on(runs: Runs, tmp_path: Path) -> None:
    """In a strict run as well, whatever is said of other hosts; not if it is denied itself."""
    drip = Drip(tmp_path / "drip", HOSTS[0])
    try:
        runs.settings(places=f'    "{HOSTS[0]}:443": "127.0.0.1:{drip.port}"', ca_file=drip.ca_file)
        script = (
            f"while [ ! -e go ]; do sleep 0.05; done; curl -sN https://{HOSTS[0]} > got; echo $?"
        )
        with runs.cli.started("run", "--", "sh", "-c", script) as process:
            wait_until(
                lambda: runs.cli.run("allow", HOSTS[0], "--once").returncode == 0,
                seconds=30,
                what="the run takes commands",
            )
            (runs.cli.workspace / "go").touch()
            got = runs.cli.workspace / "got"
            wait_until(lambda: got.exists() and got.stat().st_size > 10, what="it comes")
            for word in ("allow", "deny"):
                assert 0 == runs.cli.run(word, "other.example.com").returncode
            size = got.stat().st_size
            wait_until(lambda: got.stat().st_size > size + 20, what="it goes on")
            assert 0 == runs.cli.run("deny", HOSTS[0]).returncode
            assert ended(process) not in ([], ["0"])
    finally:
        drip.close()


# at the terminal of the run


@pytest.mark.parametrize(
    ("keys", "code"), [(b"o", b"200"), (b"r", b"200"), (b"", b"403"), (b"q", b"403")]
)
def test_it_is_asked_at_the_terminal_of_the_run(runs: Runs, keys: bytes, code: bytes) -> None:
    """Over what the run has there, which is as before afterwards."""
    script = f"echo begun; {ASK} https://a.example.com"
    with Terminal() as terminal:
        with terminal.running(runs.cli, *runs.cli.command(*runs.words(script))) as process:
            terminal.wait_for(b"begun")
            terminal.wait_for(b"    https://a.example.com\x1b")
            terminal.wait_for(PROMPT)
            terminal.type(keys + b"\r")
            terminal.wait_for(b"\x1b[?1049l")
            assert 0 == terminal.wait(process)
        assert code in terminal.seen.rpartition(b"\x1b[?1049l")[2]
    assert (code == b"200") == (runs.heard() == 1)
    assert {"the terminal of the run"} == {by for *_, by in runs.decisions()}


def test_it_is_asked_at_the_terminal_though_the_run_works_on_pipes(runs: Runs) -> None:
    """As `moat codex -p … | less` does; standard output is the run's alone."""
    words = runs.cli.command(*runs.words(f"{ASK} https://a.example.com"))
    piped = ["/bin/sh", "-c", '"$@" < /dev/null | cat > printed', "sh", *words]
    with Terminal() as terminal, terminal.running(runs.cli, *piped) as process:
        terminal.wait_for(PROMPT)
        terminal.type(b"r\r")
        assert 0 == terminal.wait(process)
        assert b"moat: a.example.com is allowed for this run" in terminal.seen
    assert "200\n" == (runs.cli.workspace / "printed").read_text()


def test_several_are_asked_one_after_the_other(runs: Runs) -> None:
    """What was answered elsewhere meanwhile is asked no more."""
    script = "".join(f"{ASK} https://{host} > {host} & " for host in HOSTS) + "wait"
    words = runs.cli.command(*runs.words(script))
    with Terminal() as terminal, terminal.running(runs.cli, *words) as process:
        terminal.wait_for(PROMPT)
        first, second = (question["host"] for question in runs.waiting(2))
        assert 0 == runs.cli.run("allow", first).returncode
        shown = f"    https://{second}\x1b".encode()
        terminal.wait_for(shown)
        terminal.seen = terminal.seen.rpartition(shown)[2]
        terminal.wait_for(PROMPT)
        terminal.type(b"n\r")
        assert 0 == terminal.wait(process)
    codes = {host: (runs.cli.workspace / host).read_text().strip() for host in HOSTS}
    assert {first: "200", second: "403"} == codes


# An editor, as far as one is needed: it has a screen of its own, and draws it when it must.
EDITOR = """
trap draw WINCH
draw() { printf '\\033[H\\033[2Jan editor of %s' "$(stty size)"; }
printf '\\033[?1049h'
draw
CURL https://a.example.com > code &
while [ ! -e saved ]; do sleep 0.1; done
printf '\\033[?1049l'
"""


def test_a_program_on_its_own_screen_is_drawn_again(runs: Runs, tmp_path: Path) -> None:
    """As tmux shows it: the question, the editor, and the shell that it was started from."""
    (runs.cli.workspace / "editor").write_text(EDITOR.replace("CURL", ASK))
    words = " ".join(runs.cli.command("run", "--policy", "ask", "--", "sh", "./editor"))
    environ = runs.cli.environ()
    with Tmux((90, 30), cwd=runs.cli.workspace, environ=environ, recording=tmp_path / "w") as tmux:
        tmux.type(f"clear; {words}; echo ended")
        tmux.press("Enter")
        screen = tmux.wait_for("https://a.example.com", "then Enter:")
        assert not any("editor" in row for row in screen)
        tmux.type("r")
        tmux.press("Enter")
        screen = tmux.wait_for("an editor of 30 90")
        assert not any("a.example.com" in row for row in screen)
        (runs.cli.workspace / "saved").touch()
        screen = tmux.wait_for("ended")
        # The receipt names the host, and is not the question.
        assert not any("https://a.example.com" in row or "an editor" in row for row in screen)
    assert "200" == (runs.cli.workspace / "code").read_text().strip()
