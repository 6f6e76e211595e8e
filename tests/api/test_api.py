"""What the page and the docstrings of `moat.api` promise to Python programs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moat import api
from moat.errors import GrantError, UsageError
from moat.run.ending import end_run
from support.cli import Cli
from support.processes import wait_until
from support.runs import ending_all, start_in_background, supervisors_of

ROOT = Path(__file__).parent.parent.parent
# Works until it is ended, and says when it has begun.
WORKS = ["sh", "-c", "echo begun; sleep 600"]
MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def nothing_left(cli: Cli) -> Iterator[None]:
    """No test leaves a run behind, whatever becomes of it."""
    with ending_all(cli):
        yield


def planned(cli: Cli, *command: str, **more: Any) -> api.Plan:
    """A plan in the home and workspace of the Cli."""
    return api.plan(command, workspace=cli.workspace, home=cli.home, **more)


async def begun(run: api.Run) -> None:
    """Wait for the first line."""
    async for event in run.events():
        if isinstance(event, api.Output):
            return
    raise AssertionError("it said nothing")


async def everything(run: api.Run) -> tuple[bytes, bytes, api.Ended]:
    """What it prints, apart, and how it ends."""
    printed = {"stdout": b"", "stderr": b""}
    async for event in run.events():
        if isinstance(event, api.Output):
            printed[event.stream] += event.data
        elif isinstance(event, api.Ended):
            return printed["stdout"], printed["stderr"], event
    raise AssertionError("the last event is no Ended")


# a run from its start to its end


async def _run(cli: Cli, *command: str, **more: Any) -> tuple[bytes, bytes, api.Ended]:
    async with api.start(planned(cli, *command, **more), home=cli.home) as run:
        await run.end_input()
        return await everything(run)


def test_a_run_is_followed_to_its_end(cli: Cli) -> None:
    """Output apart by stream, the exit code, and the record afterwards."""
    out, err, ended = asyncio.run(_run(cli, "sh", "-c", "echo out; echo err >&2; exit 7"))
    assert (b"out\n", b"err\n", 7, None) == (out, err, ended.code, ended.error)
    record = api.find(home=cli.home)
    assert ("stopped", 7) == (record.state, record.exit_code)
    assert [record] == api.runs(home=cli.home)
    assert "exit code 7" == api.receipt(home=cli.home).how


def test_what_is_planned_is_what_runs(cli: Cli) -> None:
    """Variables, a name, a limit: each as the option of the command line."""
    (cli.workspace / "here").touch()
    out, _, _ = asyncio.run(
        _run(
            cli,
            "sh",
            "-c",
            'ls here; echo "$WORD"',
            env={"WORD": "a b=c"},
            name="fixer",
            limits={"memory": "1g"},
        )
    )
    assert b"here\na b=c\n" in out
    assert "fixer" == api.find("fixer", home=cli.home).name


def test_events_are_in_their_order(cli: Cli) -> None:
    """It starts, prints and ends; with the end everybody who asks later hears how."""

    async def follow() -> None:
        async with api.start(planned(cli, *WORKS), home=cli.home) as run:
            kinds: list[type] = []
            async for event in run.events():
                kinds.append(type(event))
                if {api.Started, api.Output} == set(kinds):
                    await run.signal(signal.SIGTERM)
            assert api.Ended is kinds[-1]
            assert {api.Started, api.Output} == set(kinds[:-1])
            again = [event async for event in run.events()]
            assert [await run.wait()] == again

    asyncio.run(follow())


def test_a_loop_that_stops_its_run_still_hears_the_end(cli: Cli) -> None:
    """What `stop` reads while it waits is not taken from who follows."""

    async def follow() -> None:
        async with api.start(planned(cli, *WORKS), home=cli.home) as run:
            last: api.Event | None = None
            async for event in run.events():
                last = event
                if isinstance(event, api.Output):
                    assert "stopped" == (await run.stop()).state
            assert isinstance(last, api.Ended)
            assert 128 + signal.SIGTERM == last.code

    asyncio.run(follow())


def test_input_goes_in_and_ends(cli: Cli) -> None:
    """What is written arrives whole, and the end of it too."""

    async def feed() -> tuple[bytes, bytes, api.Ended]:
        async with api.start(planned(cli, "tr", "a-z", "A-Z"), home=cli.home) as run:
            await run.write(b"one ")
            await run.write(b"two\n")
            await run.end_input()
            return await everything(run)

    assert (b"ONE TWO\n", b"", api.Ended(0, None)) == asyncio.run(feed())


def test_ten_megabytes_go_in_and_out(cli: Cli) -> None:
    """More than any buffer on the way holds: the writer waits, and nothing is lost."""
    data = os.urandom(MEGABYTE) * 10

    async def feed() -> bytes:
        async with api.start(planned(cli, "cat"), home=cli.home) as run:

            async def write() -> None:
                await run.write(data)
                await run.end_input()

            writing = asyncio.create_task(write())
            out, _, _ = await everything(run)
            await writing
            return out

    assert data == asyncio.run(feed())


def test_what_is_not_taken_is_not_sent(cli: Cli) -> None:
    """A command that reads nothing does not have memory filled; the end lets the writer go."""

    async def feed() -> None:
        async with api.start(planned(cli, *WORKS), home=cli.home) as run:
            await begun(run)
            writing = asyncio.create_task(run.write(bytes(8 * MEGABYTE)))
            reading = asyncio.create_task(run.wait())
            await asyncio.sleep(0.5)
            assert not writing.done()
            await run.kill()
            await asyncio.wait_for(writing, 10)
            assert 1 < (await reading).code

    asyncio.run(feed())


def test_a_terminal(cli: Cli) -> None:
    """It has the size it was given, then another, and what it must not tell is held back."""
    script = "stty size; printf '\\033]52;c;eA==\\007'; read line; stty size"

    async def look() -> bytes:
        plan = planned(cli, "sh", "-c", script, terminal=(30, 100))
        async with api.start(plan, home=cli.home) as run:
            await begun(run)
            await run.resize(31, 101)
            await run.write(b"\r")
            out, err, _ = await everything(run)
            assert b"" == err
            return out

    out = asyncio.run(look())
    assert b"31 101" in out
    assert b"]52" not in out


# how it is ended


@pytest.mark.parametrize("how", ["stop", "kill", "leave", "raise", "module"])
def test_a_run_ends_with_its_context(cli: Cli, how: str) -> None:
    """Whichever way it is left; the record says so."""

    async def end() -> None:
        async with api.start(planned(cli, *WORKS), home=cli.home) as run:
            await begun(run)
            if how == "raise":
                raise LookupError
            if how == "stop":
                assert "stopped" == (await run.stop()).state
            if how == "kill":
                assert "stopped" == (await run.kill()).state
            if how == "module":
                reading = asyncio.create_task(run.wait())
                await asyncio.to_thread(api.kill, run.id, home=cli.home)
                await reading

    with pytest.raises(LookupError) if how == "raise" else contextlib.nullcontext():
        asyncio.run(end())
    assert "stopped" == api.find(home=cli.home).state
    assert [] == supervisors_of(cli)


def test_a_command_that_does_not_listen_is_killed(cli: Cli) -> None:
    """After the grace."""

    async def end() -> None:
        deaf = ["sh", "-c", "trap '' TERM; echo begun; while :; do sleep 0.1; done"]
        async with api.start(planned(cli, *deaf), home=cli.home) as run:
            await begun(run)
            assert "stopped" == (await run.stop(grace=0.2)).state

    asyncio.run(end())
    assert [] == supervisors_of(cli)


@pytest.mark.parametrize("seconds", [0, 0.02, 0.1, 0.2, 0.4, 1.0])
def test_a_cancelled_task_ends_its_run(cli: Cli, seconds: float) -> None:
    """Whenever it is cancelled, in the midst of the start too: no run goes on unseen."""

    async def go() -> None:
        async with api.start(planned(cli, *WORKS), home=cli.home) as run:
            await run.wait()

    async def cancel() -> None:
        going = asyncio.create_task(go())
        await asyncio.sleep(seconds)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going

    asyncio.run(cancel())
    wait_until(lambda: not supervisors_of(cli), what="no supervisor is left")
    assert {"stopped"} >= {record.state for record in api.runs(home=cli.home)}


def test_one_that_was_detached_goes_on(cli: Cli) -> None:
    """After the context and the program's loop; then it is looked after by its id."""

    async def leave() -> str:
        async with api.start(planned(cli, *WORKS), home=cli.home) as run:
            run.detach()
            return run.id

    run = asyncio.run(leave())
    assert "running" == api.find(run, home=cli.home).state
    assert "stopped" == api.stop(run, home=cli.home).state
    with pytest.raises(UsageError, match="has ended"):
        api.stop(run, home=cli.home)


# others take part


def test_another_attaches_and_drives(cli: Cli) -> None:
    """At a terminal: who started it is told to leave, and the run is the other's."""

    async def drive() -> None:
        plan = planned(cli, "sh", "-c", "echo begun; read word; echo got-$word", terminal=(24, 80))
        async with api.start(plan, home=cli.home) as first:
            await begun(first)
            async with api.attach(first.id[:6], home=cli.home) as second:
                assert "goes on without us" in str((await first.wait()).error)
                await second.write(b"it\r")
                out, _, ended = await everything(second)
            assert b"begun" in out  # the screen as it was
            assert b"got-it" in out
            assert 0 == ended.code

    asyncio.run(drive())


def test_a_watcher_has_no_say(cli: Cli) -> None:
    """It sees what comes, and the run goes on when it goes; a run on pipes can only be watched."""

    async def watch() -> None:
        async with api.start(planned(cli, "cat"), home=cli.home) as run:
            async with api.attach(home=cli.home) as watcher:
                await watcher.write(b"from the watcher\n")
                await watcher.end_input()
                await watcher.signal(signal.SIGKILL)
                await run.write(b"from its owner\n")
                async for event in watcher.events():
                    if isinstance(event, api.Output):
                        assert b"from its owner\n" == event.data
                        break
            await run.end_input()
            assert api.Ended(0, None) == await run.wait()

    asyncio.run(watch())


def test_runs_of_the_command_line_are_attached_to(cli: Cli) -> None:
    """There is one kind of run."""
    run = start_in_background(cli, *WORKS, options=("--name", "worker"))

    async def watch() -> api.Ended:
        async with api.attach("worker", watch=True, home=cli.home) as watcher:
            assert run == watcher.id
            ending = asyncio.create_task(asyncio.to_thread(api.kill, run, home=cli.home))
            ended = await watcher.wait()
            await ending
            return ended

    assert 128 + signal.SIGKILL == asyncio.run(watch()).code


# what a run asks


def test_a_question_is_answered(cli: Cli) -> None:
    """A request waits, is shown, and goes on as it is told; the receipt knows of it."""
    script = (
        "import urllib.error, urllib.request as r\n"
        "try: r.urlopen('http://unknown.invalid:8080/x')\n"
        "except urllib.error.HTTPError as e: print(e.code)"
    )

    async def follow(action: Any) -> tuple[list[api.Question], bytes]:
        asked, out = [], b""
        plan = planned(cli, "/usr/bin/python3", "-c", script, policy="ask")
        async with api.start(plan, home=cli.home) as run:
            async for event in run.events():
                if isinstance(event, api.Question):
                    asked.append(event)
                    await run.answer(event, action, "once")
                elif isinstance(event, api.Output):
                    out += event.data
        return asked, out

    asked, out = asyncio.run(follow("deny"))
    assert [("unknown.invalid:8080", "GET")] == [(each.host, each.method) for each in asked]
    assert b"403\n" == out
    assert [1] == [item.refused for item in api.receipt(home=cli.home).summary.destinations]
    _, out = asyncio.run(follow("allow"))
    assert out.startswith(b"50")  # it was let go, and there is no such host


def test_a_question_that_somebody_else_answers_is_withdrawn(cli: Cli) -> None:
    """Who shows it learns that it is not to be shown any more."""
    script = "import urllib.request as r\nr.urlopen('http://unknown.invalid:8080/x')"

    async def follow() -> list[int]:
        seen = []
        plan = planned(cli, "/usr/bin/python3", "-c", script, policy="ask")
        async with api.start(plan, home=cli.home) as run:
            async for event in run.events():
                if isinstance(event, api.Question):
                    seen.append(event.id)
                    answered = ["approve", "--deny", str(event.id)]
                    assert 0 == (await asyncio.to_thread(cli.run, *answered)).returncode
                elif isinstance(event, api.Withdrawn):
                    seen.append(event.id)
        return seen

    asked, withdrawn = asyncio.run(follow())
    assert asked == withdrawn


# what goes wrong


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"command": []}, "either a command or an agent"),
        ({"command": ["true"], "agent": "codex"}, "either a command or an agent"),
        ({"agent": "codex"}, "needs a prompt"),
        ({"command": ["true"], "grants": ["openai"]}, "openai"),
        ({"command": ["true"], "limits": {"memory": "much"}}, "much"),
        ({"command": ["true"], "limits": {"memroy": "1g"}}, "memroy"),
        ({"command": ["true"], "allow": ["a b"]}, "a b"),
        ({"command": ["true"], "env": {"A B": "x"}}, "A B"),
        ({"command": ["true"], "worktree": "x"}, "repository"),
    ],
)
def test_what_cannot_be_planned_is_told_before_anything_starts(
    cli: Cli, more: dict[str, Any], said: str
) -> None:
    """As a MoatError, and there is no run of it."""
    with pytest.raises(api.MoatError, match=said):
        api.plan(workspace=cli.workspace, home=cli.home, **more)
    assert [] == api.runs(home=cli.home)


def test_a_project_file_is_agreed_to_by_trust_alone(cli: Cli) -> None:
    """Nobody is asked: a program that does not say so gets an error with what to do."""
    (cli.workspace / "moat.yaml").write_text("env: {WORD: project}\n")
    with pytest.raises(UsageError, match="not agreed to") as caught:
        planned(cli, "true")
    assert "trust" in str(caught.value.hint)
    out, _, _ = asyncio.run(_run(cli, "printenv", "WORD", trust=True))
    assert b"project\n" == out


def test_a_secret_in_the_command_is_refused_before_the_start(cli: Cli) -> None:
    """It would be written down."""
    cli.grant_unasked("sk-secret-0123456789abcdef0123456789abcdef")
    plan = planned(cli, "echo", "sk-secret-0123456789abcdef0123456789abcdef", grants=["openai"])

    async def go() -> None:
        async with api.start(plan, home=cli.home):
            raise AssertionError("it was started")

    with pytest.raises(api.MoatError):
        asyncio.run(go())
    assert [] == api.runs(home=cli.home)


def test_a_start_that_fails_is_an_error(cli: Cli) -> None:
    """The supervisor cannot make the box: `start` raises what it said, and no context begins."""
    plan = planned(cli, "true")
    cli.workspace.rename(cli.workspace.with_name("moved"))

    async def go() -> None:
        async with api.start(plan, home=cli.home):
            raise AssertionError("it was started")

    with pytest.raises(api.MoatError) as caught:
        asyncio.run(go())
    assert str(caught.value)
    assert {"failed"} >= {record.state for record in api.runs(home=cli.home)}


def test_a_command_that_is_not_there_is_no_error_of_moat(cli: Cli) -> None:
    """It is the command's own exit code, as a shell gives it."""
    _, err, ended = asyncio.run(_run(cli, "no-such-program"))
    assert (127, None) == (ended.code, ended.error)
    assert b"no-such-program" in err


def test_a_supervisor_that_dies_is_told(cli: Cli) -> None:
    """Whoever follows gets an error, not silence; the record is lost."""

    async def follow() -> None:
        async with api.start(planned(cli, *WORKS), home=cli.home) as run:
            await begun(run)
            os.kill(supervisors_of(cli)[0], signal.SIGKILL)
            with pytest.raises(api.MoatError, match="supervisor died"):
                await run.wait()
            await run.write(b"nobody hears it")
            await run.end_input()

    asyncio.run(follow())
    wait_until(lambda: api.find(home=cli.home).state == "lost", what="it is lost")


def test_a_python_that_cannot_start_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as an OSError."""

    async def go() -> None:
        async with api.start(planned(cli, "true"), home=cli.home):
            raise AssertionError("it was started")

    for program in ("/nonexistent/python", "/bin/false", ""):
        monkeypatch.setattr(sys, "executable", program)
        with pytest.raises(api.MoatError, match="supervisor cannot be started"):
            asyncio.run(go())


def test_a_grant_that_is_not_there_has_its_own_error(cli: Cli) -> None:
    """So that a program can tell it from others."""
    with pytest.raises(GrantError):
        planned(cli, "true", grants=["openai"])


# the program around it


def test_two_runs_at_once(cli: Cli) -> None:
    """Each has its own output and end."""

    async def both() -> list[tuple[bytes, bytes, api.Ended]]:
        return await asyncio.gather(*(_run(cli, "sh", "-c", f"echo {n}; exit {n}") for n in (1, 2)))

    first, second = asyncio.run(both())
    assert (b"1\n", 1, b"2\n", 2) == (first[0], first[2].code, second[0], second[2].code)
    assert 2 == len({record.run for record in api.runs(home=cli.home)})


def test_a_program_with_threads(cli: Cli) -> None:
    """Each with a loop of its own, while others hold locks: nothing is forked off the program."""
    held = threading.Lock()
    codes: list[int] = []

    def one(code: int) -> None:
        codes.append(asyncio.run(_run(cli, "sh", "-c", f"exit {code}"))[2].code)

    with held:
        threads = [threading.Thread(target=one, args=(code,)) for code in (3, 4, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert [3, 4, 5] == sorted(codes)


def test_the_loop_goes_on_while_a_run_starts(cli: Cli) -> None:
    """Other work of the program is not held up."""

    async def both() -> int:
        ticks = 0
        async with asyncio.timeout(60):
            starting = asyncio.create_task(_run(cli, "true"))
            while not starting.done():
                await asyncio.sleep(0.001)
                ticks += 1
            await starting
        return ticks

    assert 20 < asyncio.run(both())


PROGRAM = """
import asyncio, signal, sys
from pathlib import Path
from moat import api

{before}

async def main():
    plan = api.plan(["sh", "-c", "cat; echo err >&2; exit 3"], workspace={workspace!r})
    async with api.start(plan) as run:
        await run.write(b"in\\n")
        await run.end_input()
        async for event in run.events():
            if isinstance(event, api.Output):
                print(event.stream, event.data, flush=True)
    async with api.start(api.plan(["sleep", "600"], workspace={workspace!r})) as run:
        async with api.attach(run.id, watch=True):
            pass
    print((await run.wait()).code)

asyncio.run(main())
"""


def _program(cli: Cli, before: str, *options: str) -> subprocess.CompletedProcess[str]:
    code = PROGRAM.format(before=before, workspace=str(cli.workspace))
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=cli.workspace,
        env=cli.environ(),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("before", "options"),
    [
        ("", ("-W", "error", "-X", "dev")),
        ("signal.signal(signal.SIGCHLD, signal.SIG_IGN)", ()),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())", ()),
        ("import os; os.close(0); os.closerange(3, 100)", ()),
        ("import uvloop; uvloop.install()", ()),
    ],
    ids=["warnings are errors", "no children", "signals blocked", "no stdin", "uvloop"],
)
def test_whatever_the_program_is_like(cli: Cli, before: str, options: tuple[str, ...]) -> None:
    """Nothing is left open or unsaid, and what it has done to signals is not the run's affair."""
    done = _program(cli, before, *options)
    assert "stdout b'in\\n'\nstderr b'err\\n'\n143\n" == done.stdout, done.stderr
    assert (0, "") == (done.returncode, done.stderr)


def test_ctrl_c_ends_the_run(cli: Cli) -> None:
    """As it ends the program: its task is cancelled."""
    code = textwrap.dedent(f"""
        import asyncio
        from moat import api
        async def main():
            plan = api.plan({WORKS!r}, workspace={str(cli.workspace)!r})
            async with api.start(plan) as run:
                async for event in run.events():
                    print(event, flush=True)
        asyncio.run(main())
    """)
    with cli.started(command=[sys.executable, "-c", code]) as program:
        assert program.stdout is not None
        while "begun" not in program.stdout.readline():
            pass
        program.send_signal(signal.SIGINT)
        program.wait(30)
    assert "stopped" == api.find(home=cli.home).state


def test_a_program_that_is_killed_leaves_its_run(cli: Cli) -> None:
    """It goes on, and is found: as with a command line."""
    code = textwrap.dedent(f"""
        import asyncio
        from moat import api
        async def main():
            async with api.start(api.plan({WORKS!r}, workspace={str(cli.workspace)!r})) as run:
                print(run.id, flush=True)
                await run.wait()
        asyncio.run(main())
    """)
    with cli.started(command=[sys.executable, "-c", code]) as program:
        assert program.stdout is not None
        run = program.stdout.readline().strip()
        program.kill()
        program.wait(30)
    assert run == api.find(home=cli.home).run
    assert "stopped" == end_run(cli.home / "runs", run, grace=0).state


def test_another_user_can_as_well(user_cli: Cli) -> None:
    """Without any rights, and without a name in /etc/passwd."""
    code = PROGRAM.format(before="", workspace=str(user_cli.workspace))
    done = subprocess.run(
        [*user_cli.python, "-c", code],
        cwd=user_cli.workspace,
        env=user_cli.environ(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "stdout b'in\\n'\nstderr b'err\\n'\n143\n" == done.stdout, done.stderr


def test_it_is_typed(tmp_path: Path) -> None:
    """A strict type checker knows all of it, and that the events are all there are."""
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path),
            str(Path(__file__).with_name("typed.py")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert "Success" in done.stdout, done.stdout


def test_a_run_that_is_only_starting_is_killed_with_a_record(cli: Cli) -> None:
    """Whoever kills it from outside waits until there is somebody to write the end down."""
    with cli.started("run", "--", *WORKS):
        wait_until(lambda: bool(api.runs(home=cli.home)), what="there is a record")
        assert "stopped" == api.kill(api.find(home=cli.home).run, home=cli.home).state
