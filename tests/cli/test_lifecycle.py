"""What a person does with a run that lives on without them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from moat.errors import MoatError
from moat.run.command_socket import tell
from moat.run.record import RunDirectory
from support.cli import Cli
from support.processes import is_alive, processes_with, wait_gone, wait_until
from support.pty import Terminal
from support.runs import ending_all, inodes, start_in_background, supervisors_of
from support.users import User

STUBBORN = "trap '' TERM HUP INT; touch ready; while :; do sleep 0.1; done; : "


@pytest.fixture
def moat(user_cli: Cli) -> Iterator[Cli]:
    """The command line of a user; what it has left running is ended with the test."""
    with ending_all(user_cli):
        yield user_cli


@pytest.fixture
def root_moat(cli: Cli) -> Iterator[Cli]:
    """The same, where it does not matter who that is."""
    with ending_all(cli):
        yield cli


def said(cli: Cli, *words: str, code: int = 0) -> tuple[str, str]:
    """What a command says on both outputs."""
    done = cli.run(*words, timeout=60)
    assert code == done.returncode, (done.stdout, done.stderr)
    return done.stdout, done.stderr


def state(cli: Cli, run: str) -> str:
    """How a run stands."""
    return str(cli.json("status", run)["state"])


def sleeping(cli: Cli, *options: str) -> str:
    """A run that does nothing, in the background; its id."""
    return start_in_background(cli, "sleep", "300", options=options)


# starting in the background


def test_a_run_in_the_background_is_there_and_is_ended(moat: Cli) -> None:
    """Its id is all that is printed; it is listed, told of, and gone when it was stopped."""
    run = sleeping(moat, "--name", "fixer")
    assert [(run, "running", "fixer")] == [(r["run"], r["state"], r["name"]) for r in moat.runs()]
    out, _ = said(moat, "status")
    assert {f"run        {run} (fixer)", "state      running"} <= set(out.splitlines())
    assert "nobody is attached" in out
    assert (f"{run}\n", "") == said(moat, "stop")
    assert ["stopped"] == [r["state"] for r in moat.runs()]
    assert [] == supervisors_of(moat)
    assert ("", "") == said(moat, "wait", "fixer", code=128 + signal.SIGTERM)
    out, _ = said(moat, "receipt", "fixer")
    assert f"run {run} (fixer): ended by SIGTERM: exit code 143, after " in out


@pytest.mark.parametrize("command", [("true",), ("sleep", "0.4")])
def test_the_id_is_printed_however_soon_it_ends(root_moat: Cli, command: tuple[str, ...]) -> None:
    """A script can always go on with it."""
    run = start_in_background(root_moat, *command)
    assert ("", "") == said(root_moat, "wait", run)
    assert [run] == [item["run"] for item in root_moat.runs()]


def test_what_cannot_start_is_an_error_in_the_background_too(root_moat: Cli) -> None:
    """Nothing on stdout that would look like an id."""
    (root_moat.home / "runs").write_text("in the way")
    done = root_moat.run("run", "-d", "--", "true")
    assert ("", 1) == (done.stdout, done.returncode)
    assert "moat: " in done.stderr


# which run is meant


def test_a_run_is_meant_by_id_beginning_or_name(root_moat: Cli) -> None:
    """And by nothing at all where there is only one."""
    run = sleeping(root_moat, "--name", "one")
    for given in (run, run[:-2], "one"):
        assert run == root_moat.json("status", given)["run"]
    assert (f"{run}\n", "") == said(root_moat, "kill", run[:-1])


def rename(cli: Cli, run: str, name: str) -> None:
    """Give a run another name, behind its back."""
    record = cli.home / "runs" / run / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"name": name}))


def test_what_is_not_clear_is_not_done(root_moat: Cli) -> None:
    """Of two that a name, a beginning or nothing may mean, both are shown, and both live on."""
    first, second = (sleeping(root_moat) for _ in range(2))
    # Two names at once are refused at the start, but two starts may cross.
    for run in (first, second):
        rename(root_moat, run, "twin")
    same = next(n for n in range(len(first)) if first[n] != second[n])
    for words in (("stop", "twin"), ("status", "twin"), ("stop", first[:same]), ("stop",)):
        out, err = said(root_moat, *words, code=2)
        assert out == ""
        assert {first, second} <= set(re.findall(r"\b[a-z0-9]{10}\b", err)), words
        assert "hint: " in err
    assert {"running"} == {item["state"] for item in root_moat.runs()}
    said(root_moat, "stop", first)
    rename(root_moat, first, "twin")
    # The one that lives is meant now.
    assert second == root_moat.json("status", "twin")["run"]
    out, _ = said(root_moat, "stop", "--all")
    assert f"{second}\n" == out
    assert "no run is live" in said(root_moat, "stop", code=2)[1]
    assert ("", "no run is live\n") == said(root_moat, "stop", "--all")
    assert ("", f"run {first} has ended already (stopped)\n") == said(root_moat, "stop", first)
    for words in (("attach", first), ("exec", first, "--", "true")):
        assert f"run {first} has ended (stopped)" in said(root_moat, *words, code=2)[1]
    assert "there is no run 'nobody'" in said(root_moat, "wait", "nobody", code=2)[1]


# waiting, stopping, killing


def test_waiting_gives_the_code_of_the_run(moat: Cli) -> None:
    """While it lives, and as often as one likes afterwards."""
    script = "while [ ! -e go ]; do sleep 0.05; done; exit 7"
    run = start_in_background(moat, "sh", "-c", script)
    with moat.started("wait", run) as waiting:
        time.sleep(0.5)
        assert waiting.poll() is None
        (moat.workspace / "go").touch()
        assert 7 == waiting.wait(30)
    assert ("", "") == said(moat, "wait", run, code=7)


def test_waiting_for_who_dies_is_an_error(moat: Cli) -> None:
    """A supervisor that was killed has no code to give."""
    run = sleeping(moat)
    with moat.started("wait", run) as waiting:
        (supervisor,) = supervisors_of(moat)
        os.kill(supervisor, signal.SIGKILL)
        assert 1 == waiting.wait(30)
        assert waiting.stderr is not None
        assert f"run {run} is lost: its supervisor died" in waiting.stderr.read()
    assert "lost" == state(moat, run)


def stubborn(cli: Cli) -> tuple[str, str]:
    """A run whose command ends for no signal it can refuse: its id, and a token in its words."""
    token = uuid.uuid4().hex
    run = start_in_background(cli, "sh", "-c", STUBBORN + token)
    wait_until((cli.workspace / "ready").exists, what="it refuses signals")
    return run, token


def test_who_does_not_listen_is_ended_after_its_time(moat: Cli) -> None:
    """Not before, and the record says what it was asked."""
    run, token = stubborn(moat)
    began = time.monotonic()
    assert (f"{run}\n", "") == said(moat, "stop", "--timeout", "2s", run)
    assert time.monotonic() - began >= 2
    assert [] == processes_with(token)
    assert ("stopped", 143) == (state(moat, run), moat.runs()[0]["exit_code"])


def test_killing_does_not_ask(moat: Cli) -> None:
    """A command that ignores all it can is gone when the command line is."""
    run, token = stubborn(moat)
    assert (f"{run}\n", "") == said(moat, "kill", run)
    assert [] == processes_with(token)
    assert ("stopped", 137) == (state(moat, run), moat.runs()[0]["exit_code"])


@pytest.mark.parametrize("command", [("kill",), ("stop", "--timeout", "1s"), ("rm", "--force")])
def test_a_supervisor_that_hangs_is_killed(moat: Cli, command: tuple[str, ...]) -> None:
    """One that was stopped, say; its box goes with it, and its record says that it is lost."""
    run, token = stubborn(moat)
    (supervisor,) = supervisors_of(moat)
    os.kill(supervisor, signal.SIGSTOP)
    assert (f"{run}\n", "") == said(moat, *command, run)
    assert not is_alive(supervisor)
    wait_gone(token)
    if command[0] == "rm":
        assert [] == moat.runs()
    else:
        assert "lost" == state(moat, run)
        root = moat.home / "runs" / run
        assert not {"stage", "control"} & {path.name for path in root.iterdir()}
    assert [] == [path for path in (moat.home / "runs").iterdir() if path.name.startswith(".")]


def test_the_status_of_who_hangs_is_what_is_written(root_moat: Cli) -> None:
    """It is not waited for without end."""
    run = sleeping(root_moat)
    (supervisor,) = supervisors_of(root_moat)
    os.kill(supervisor, signal.SIGSTOP)
    found = root_moat.json("status", run)
    assert ("running", supervisor, None) == (found["state"], found["supervisor"], found["live"])


# removing


def test_a_live_run_is_not_removed(moat: Cli) -> None:
    """Unless one insists; then nothing of it is left."""
    run = sleeping(moat)
    out, err = said(moat, "rm", run, code=2)
    assert ("", f"moat: run {run} is live\n") == (out, err.partition("hint")[0])
    assert f"moat stop {run}" in err
    assert "running" == state(moat, run)
    assert (f"{run}\n", "") == said(moat, "rm", "--force", run)
    assert [] == [*(moat.home / "runs").iterdir()]
    assert [] == supervisors_of(moat)


def test_several_are_removed_or_none(root_moat: Cli) -> None:
    """What cannot be found stops all of it, before anything is removed."""
    runs = [start_in_background(root_moat, "true") for _ in range(2)]
    for run in runs:
        said(root_moat, "wait", run)
    said(root_moat, "rm", runs[0], "nobody", code=2)
    assert set(runs) == {item["run"] for item in root_moat.runs()}
    out, _ = said(root_moat, "rm", *runs, runs[0])
    assert runs == out.split()
    assert [] == root_moat.runs()


def test_what_is_old_is_removed(root_moat: Cli) -> None:
    """Shown first; what lives stays, and so does what is younger."""
    old = start_in_background(root_moat, "true")
    said(root_moat, "wait", old)
    live = sleeping(root_moat)
    before = inodes(root_moat.home)
    out, err = said(root_moat, "clean", "--older-than", "0", "--dry-run")
    assert f"{old}\n" == out
    assert "would remove 1 runs, " in err
    assert before == inodes(root_moat.home)
    assert "removed 0 runs, 0 B\n" == said(root_moat, "clean")[1]
    assert "removed 0 runs, 0 B\n" == said(root_moat, "clean", "--older-than", "1h")[1]
    out, err = said(root_moat, "clean", "--older-than", "0")
    assert (f"{old}\n", True) == (out, "removed 1 runs, " in err)
    assert [(live, "running")] == [(item["run"], item["state"]) for item in root_moat.runs()]
    assert "running" == state(root_moat, live)


def test_however_the_clock_was_set_all_is_all(root_moat: Cli) -> None:
    """A run that ends tomorrow has ended."""
    run = start_in_background(root_moat, "true")
    said(root_moat, "wait", run)
    record = root_moat.home / "runs" / run / "run.json"
    document = json.loads(record.read_text())
    record.write_text(json.dumps(document | {"ended": time.time() + 86400}))
    assert "" == said(root_moat, "clean", "--older-than", "1s")[0]
    assert f"{run}\n" == said(root_moat, "clean", "--older-than", "0")[0]


# looking


def test_looking_changes_nothing(moat: Cli) -> None:
    """Of a run that lives, one that has ended, and one whose supervisor died."""
    ended = start_in_background(moat, "true")
    said(moat, "wait", ended)
    lost = sleeping(moat)
    (supervisor,) = supervisors_of(moat)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not is_alive(supervisor), what="it is dead")
    with moat.started("run", "--", "sleep", "300") as client:
        wait_until(lambda: [r["state"] for r in moat.runs()].count("running") == 1, what="it runs")
        live = next(item["run"] for item in moat.runs() if item["state"] == "running")
        # What it sets up beside its command is there by the time that it answers.
        wait_until(lambda: moat.json("status", live)["live"], what="it answers")
        time.sleep(0.5)
        before = inodes(moat.home)
        for run in (ended, lost, live):
            for words in (("status",), ("receipt",), ("events",), ("trace",), ("logs",)):
                said(moat, *words, run)
        said(moat, "list")
        said(moat, "events")
        said(moat, "wait", ended)
        said(moat, "wait", lost, code=1)
        said(moat, "clean", "--dry-run", "--older-than", "0")
        assert before == inodes(moat.home)
        client.terminate()
        client.wait(30)


def test_the_events_of_a_run_are_told(root_moat: Cli) -> None:
    """In the order they happened, as they happen, and as data; of one run or of all."""
    run = start_in_background(root_moat, "sh", "-c", "while [ ! -e go ]; do sleep 0.05; done")
    with root_moat.started("events", "--follow", "--json", run) as following:
        assert (0, "hi\n") == ran(root_moat, "echo", "hi")
        (root_moat.workspace / "go").touch()
        out, err = following.communicate(timeout=30)
    events = [json.loads(line) for line in out.splitlines()]
    names = [event["event"] for event in events]
    assert "" == err
    first = ["created", "starting", "running"]
    assert first == [name for name in names if name in first]
    assert "executed" in names
    assert {run} == {event["run"] for event in events}
    assert names.index("stopping") < names.index("stopped")
    (executed,) = (event for event in events if event["event"] == "executed")
    assert (["echo", "hi"], 0) == (executed["command"], executed["exit_code"])
    other = start_in_background(root_moat, "true")
    said(root_moat, "wait", other)
    lines = said(root_moat, "events")[0].splitlines()
    assert {run, other} == {line.split()[2] for line in lines}
    assert lines == sorted(lines, key=lambda line: line[:19])


def test_a_run_on_pipes_is_watched(moat: Cli) -> None:
    """What it prints from then on; who watches leaves, and it goes on."""
    script = "n=0; while [ ! -e go ]; do n=$((n+1)); echo out $n; echo err $n >&2; sleep 0.05; done"
    run = start_in_background(moat, "sh", "-c", script)
    with moat.started("attach", "--watch", run) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().startswith("out ")
        assert 1 == moat.json("status", run)["live"]["watchers"]
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=30)
        assert 0 == watching.returncode
        assert f"run {run} goes on: you have left it" in err
    assert "running" == state(moat, run)
    with moat.started("attach", run) as watching:
        assert watching.stdout is not None
        watching.stdout.readline()
        (moat.workspace / "go").touch()
        watching.communicate(timeout=30)
        assert 0 == watching.returncode


def test_a_run_at_a_terminal_is_not_driven_from_a_pipe(root_moat: Cli) -> None:
    """A proxy has nothing to look at, and a run that is over neither."""
    run = start_in_background(root_moat, "true")
    said(root_moat, "wait", run)
    assert "has ended" in said(root_moat, "attach", run, code=2)[1]
    assert "no run is live" in said(root_moat, "attach", code=2)[1]


# a further command


def ran(cli: Cli, *words: str, stdin: str | None = None) -> tuple[int, str]:
    """A further command in the only live run: its code, and what it prints."""
    done = cli.run("exec", "--", *words, stdin=stdin, timeout=60)
    return done.returncode, done.stdout


def test_a_further_command_is_in_the_box(moat: Cli) -> None:
    """Its files, its processes, its user and no more than it; its code comes home."""
    token = uuid.uuid4().hex
    start_in_background(moat, "sh", "-c", f"echo here > /tmp/file; sleep 300; : {token}")
    wait_until(lambda: ran(moat, "cat", "/tmp/file") == (0, "here\n"), what="it is there")
    look = 'grep -lz "$0" /proc/[0-9]*/cmdline 2>/dev/null | head -1; pwd; id -u; ls -A'
    code, out = ran(moat, "sh", "-c", look, token)
    assert code == 0
    assert "/workspace" in out.splitlines()
    for line in ("NoNewPrivs", "Seccomp", "CapEff", "CapBnd", "Uid", "Gid"):
        ours = ran(moat, "grep", f"^{line}:", "/proc/self/status")
        assert ours == ran(moat, "grep", f"^{line}:", "/proc/2/status"), line
    for name in ("net", "ipc", "uts", "cgroup", "pid", "mnt", "user"):
        # The first process is bubblewrap's, the second the command.
        shown = ran(moat, "sh", "-c", f"readlink /proc/self/ns/{name} /proc/2/ns/{name} | uniq")
        assert (0, 1) == (shown[0], len(shown[1].splitlines())), name


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("true",), 0, ""),
        (("sh", "-c", "exit 42"), 42, ""),
        (("sh", "-c", "kill -9 $$"), 137, ""),
        (("no-such-program",), 127, "moat: no-such-program: there is no such program in the box\n"),
        (("/workspace",), 126, "moat: /workspace: Permission denied\n"),
    ],
)
def test_the_code_of_a_further_command(
    moat: Cli, words: tuple[str, ...], code: int, says: str
) -> None:
    """Is that of a shell."""
    sleeping(moat)
    done = moat.run("exec", "--", *words)
    assert (code, "", says) == (done.returncode, done.stdout, done.stderr)


def test_its_outputs_and_input_are_its_own(moat: Cli) -> None:
    """Stdout and stderr apart, stdin to its end; and nothing of it on the run's."""
    run = sleeping(moat)
    done = moat.run("exec", "--", "sh", "-c", "cat; echo err >&2", stdin="typed\n")
    assert (0, "typed\n", "err\n") == (done.returncode, done.stdout, done.stderr)
    assert ("", "") == said(moat, "logs", run)


def test_a_hundred_megabytes_go_through(root_moat: Cli) -> None:
    """Both ways at once, and whole."""
    sleeping(root_moat)
    size = 100 << 20
    block = os.urandom(1 << 20)
    wanted = hashlib.sha256()
    given, sent = root_moat.workspace.parent / "given", root_moat.workspace.parent / "sent"
    with given.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
            wanted.update(block)
    with given.open("rb") as stdin, sent.open("wb") as stdout:
        done = subprocess.run(
            root_moat.command("exec", "--", "cat"),
            cwd=root_moat.workspace,
            env=root_moat.environ(),
            stdin=stdin,
            stdout=stdout,
            timeout=120,
            check=False,
        )
    assert 0 == done.returncode
    with sent.open("rb") as file:
        assert wanted.hexdigest() == hashlib.file_digest(file, "sha256").hexdigest()
    assert size == sent.stat().st_size


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_further_command_ends_with_its_client(moat: Cli, number: signal.Signals) -> None:
    """With what it has started; the run goes on."""
    token = uuid.uuid4().hex
    run = sleeping(moat)
    script = f"sleep 301 & sh -c 'sleep 302; : {token}'; : {token}"
    with moat.started("exec", "--", "sh", "-c", script) as client:
        wait_until(lambda: len(processes_with(token)) >= 3, what="it has started")
        client.send_signal(number)
        client.communicate(timeout=30)
    wait_gone(token)
    assert "" == ran(moat, "sh", "-c", "grep -l sleep.30[12] /proc/[0-9]*/cmdline")[1]
    assert "running" == state(moat, run)
    assert 0 == moat.json("status", run)["live"]["executing"]


def test_one_that_has_ended_ends_no_other(root_moat: Cli) -> None:
    """The next may have its number, and is left alone when the first would have been ended."""
    sleeping(root_moat)
    assert (0, "") == ran(root_moat, "true")
    assert (0, "whole\n") == ran(root_moat, "sh", "-c", "sleep 6; echo whole")


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (("stop",), "ended by SIGTERM: exit code 143"),
        (("kill",), "killed: exit code 137"),
        ((), "exit code 4"),
    ],
)
def test_a_further_command_ends_with_the_run(
    root_moat: Cli, end: tuple[str, ...], how: str
) -> None:
    """Its client says that it has ended, and how."""
    token = uuid.uuid4().hex
    script = "while [ ! -e go ]; do sleep 0.05; done; exit 4"
    run = start_in_background(root_moat, "sh", "-c", script)
    with root_moat.started("exec", "--", "sh", "-c", f"touch here; sleep 301; : {token}") as client:
        wait_until((root_moat.workspace / "here").exists, what="it has started")
        if end:
            said(root_moat, *end, run)
        else:
            (root_moat.workspace / "go").touch()
        _, err = client.communicate(timeout=30)
    wait_gone(token)
    assert (137, f"run {run} has ended: {how}\n") == (client.returncode, err)


def test_a_further_command_whose_supervisor_dies_is_told(root_moat: Cli) -> None:
    """It is gone with the run, which is lost; and who clears up says so."""
    run = sleeping(root_moat)
    (supervisor,) = supervisors_of(root_moat)
    with root_moat.started("exec", "--", "sh", "-c", "touch here; sleep 302") as client:
        wait_until((root_moat.workspace / "here").exists, what="it has started")
        os.kill(supervisor, signal.SIGKILL)
        _, err = client.communicate(timeout=30)
    lost = f"run {run} has ended: lost: its supervisor died, and the box with it\n"
    assert (137, lost) == (client.returncode, err)
    cleaned = said(root_moat, "clean")[1]
    assert cleaned.startswith(f"run {run} is lost: its supervisor died; what it left has been")


def test_who_watches_a_run_without_a_terminal_is_told_how_to_leave(root_moat: Cli) -> None:
    """The keys that leave others are none here."""
    run = start_in_background(root_moat, "sh", "-c", "sleep 1; while :; do sleep 0.1; done")
    with (
        Terminal() as terminal,
        terminal.running(root_moat, *root_moat.command("attach", run)) as client,
    ):
        told = f"watching run {run}, which has no terminal: ctrl-c leaves it".encode()
        terminal.wait_for(told)
        wait_until(
            lambda: (root_moat.json("status", run)["live"] or {}).get("watchers") == 1,
            what="it is watched",
        )
        terminal.type(b"\x03")
        assert 0 == terminal.wait(client)


def test_a_further_command_at_a_terminal_is_left(root_moat: Cli) -> None:
    """It cannot go on with nobody to take it up: it ends, which is told, and the run goes on."""
    token = uuid.uuid4().hex
    run = sleeping(root_moat)
    with Terminal() as terminal:
        command = root_moat.command("exec", "-t", "--", "sh", "-c", f"echo here; cat; : {token}")
        with terminal.running(root_moat, *command) as client:
            terminal.wait_for(b"here")
            terminal.type(b"\x1fd")
            assert 128 + signal.SIGHUP == terminal.wait(client)
        told = f"the command was ended: you have left it; run {run} goes on"
        assert told.encode() in terminal.seen
    wait_gone(token)
    assert "running" == state(root_moat, run)


def test_there_must_be_a_command_and_a_run(root_moat: Cli) -> None:
    """Which is said, with what to type."""
    assert "moat exec -- ls" in said(root_moat, "exec", code=2)[1]
    assert "no run is live" in said(root_moat, "exec", "--", "true", code=2)[1]
    run = sleeping(root_moat)
    assert f"moat exec {run} -- ls" in said(root_moat, "exec", run, code=2)[1]
    assert "-t: you are not at a terminal" in said(root_moat, "exec", "-t", "--", "sh", code=2)[1]


def test_a_further_command_is_under_the_same_policy(moat: Cli) -> None:
    """What it asks for is refused as to the run itself, and is in the same trace."""
    run = sleeping(moat)
    ask = "curl -s -o /dev/null -w %{http_code} https://nobody.example.com/x"
    assert (0, "403") == ran(moat, *ask.split())
    (request,) = moat.json("trace", run)
    assert ("nobody.example.com", "refused") == (request["host"], request["outcome"])
    receipt = moat.json("receipt", run)
    assert [("nobody.example.com", 1, 1)] == [
        (item["host"], item["requests"], item["refused"]) for item in receipt["destinations"]
    ]


def test_who_else_is_there_cannot_command_it(users: dict[str, User]) -> None:
    """The socket of a run is its owner's alone."""
    if "unprivileged" not in users:
        pytest.skip("the tests are not run by root")
    owner = users["unprivileged"].cli()
    with ending_all(owner):
        run = sleeping(owner)
        root = RunDirectory(owner.home / "runs", run).root
        assert 0o600 == (root / "control").stat().st_mode & 0o777
        # Not even to root, who would have other ways.
        with pytest.raises(MoatError, match="does not answer"):
            tell(root, {"do": "stop", "grace": 0})
        done = owner.run("exec", run, "--", "true")
        assert 0 == done.returncode
        assert "running" == state(owner, run)


def test_who_speaks_another_version_is_told_so(cli: Cli) -> None:
    """Of what is said in frames; to be stopped needs none."""
    with ending_all(cli):
        run = start_in_background(cli, "sleep", "60")
        code = (
            "import sys; from moat.run import control; control.VERSION = 2; "
            "from moat.cli.main import main; sys.exit(main(sys.argv[1:]))"
        )
        for words in (["attach", "--watch", run], ["exec", run, "--", "true"]):
            command = [*cli.python, "-P", "-c", code, *words]
            with cli.started(command=command) as client:
                _, said = client.communicate(timeout=60)
            assert 1 == client.returncode
            assert "it speaks version 1 of the protocol, and this one 2" in said
            assert f"moat stop {run}" in said
        assert 0 == cli.run("stop", run).returncode


def test_input_that_waits_ends_with_its_client(cli: Cli) -> None:
    """Killed while more was piped in than was read: the command reads that, and then the end."""
    with ending_all(cli), Path("/dev/zero").open("rb") as endless:
        script = "touch ready; while [ ! -e go ]; do sleep 0.05; done; cat > /dev/null; touch ended"
        with cli.started("run", "--", "sh", "-c", script, stdin=endless) as client:
            wait_until((cli.workspace / "ready").exists, what="the command has begun")
            time.sleep(0.5)  # in which the window of input fills
            client.kill()
            client.wait()
        (cli.workspace / "go").touch()
        wait_until((cli.workspace / "ended").exists, what="the command has seen the end")


def test_who_ended_a_run_is_told(cli: Cli) -> None:
    """By the receipt: a command that was killed may end with any code."""
    with ending_all(cli):
        for command, how in (("stop", "ended by SIGTERM: exit code 143"), ("kill", "killed: ")):
            run = start_in_background(cli, "sleep", "60")
            assert 0 == cli.run(command, run).returncode
            assert how in cli.run("receipt", run).stdout


def test_what_is_typed_ahead_reaches_the_run(cli: Cli) -> None:
    """Before there is anything to read it: a terminal keeps it, and so do we."""
    command = cli.command("run", "--", "sh", "-c", "read line; echo got-$line")
    with Terminal() as terminal:
        terminal.type(b"early\r")
        with terminal.running(cli, *command) as process:
            assert 0 == terminal.wait(process)
        assert b"got-early" in terminal.look()
