"""A project's own settings count once the person has agreed to exactly these bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.cli import REAL_KEY, Cli
from support.pty import Terminal

PROJECT = """\
name: attic
env: {GREETING: hello}
network: {rules: [example.com]}
command: [sh, -c, "echo $GREETING"]
"""


@pytest.fixture
def project(cli: Cli) -> Cli:
    (cli.workspace / "moat.yaml").write_text(PROJECT)
    return cli


def test_without_a_terminal_a_new_file_is_refused(project: Cli) -> None:
    """It says what the file asks for, and what to do; nothing is made."""
    done = project.run("run")
    assert (2, "") == (done.returncode, done.stdout)
    for asked in ("GREETING", "hello", "example.com", "--trust", "trust: always"):
        assert asked in done.stderr
    assert [] == project.runs()


def test_agreeing_lasts_until_the_file_changes(project: Cli) -> None:
    """The same bytes are not asked about again; others are, and what is new is marked."""
    assert (0, "hello\n") == (project.run("run", "--trust").returncode, project.run("run").stdout)
    file = project.workspace / "moat.yaml"
    file.write_text(PROJECT.replace("[example.com]", "[example.com, evil.example]"))
    done = project.run("run")
    assert 2 == done.returncode
    (line,) = [line for line in done.stderr.splitlines() if "evil.example" in line]
    assert line.strip().startswith("+ ")
    file.write_text(PROJECT)
    assert 0 == project.run("run").returncode


def test_agreement_is_for_one_place(project: Cli, tmp_path: Path) -> None:
    """The same bytes elsewhere are another project's."""
    assert 0 == project.run("run", "--trust").returncode
    other = tmp_path / "other"
    other.mkdir()
    (other / "moat.yaml").write_text(PROJECT)
    assert 2 == project.run("run", "-w", str(other)).returncode


def test_a_setting_agrees_to_all(project: Cli) -> None:
    """For machines without anybody at them."""
    (project.home / "config.yaml").write_text("trust: always\n")
    assert "hello\n" == project.run("run").stdout


@pytest.mark.parametrize(("typed", "code"), [(b"y\n", 0), (b"n\n", 2), (b"\n", 2), (b"\x04", 2)])
def test_the_person_is_asked_at_a_terminal(project: Cli, typed: bytes, code: int) -> None:
    """And only a yes is a yes, which is then remembered."""
    with Terminal() as terminal, terminal.running(project, *project.command("run")) as process:
        terminal.wait_for(b"[y/N]")
        assert b"example.com" in terminal.seen
        terminal.type(typed)
        assert code == terminal.wait(process)
    assert code == project.run("run").returncode
    assert (code == 0) == bool(project.runs())


def test_the_file_is_read_only_in_the_box(project: Cli) -> None:
    """The agent reads what it may do, and does not write it."""
    attempt = "cat moat.yaml; echo 'network: {policy: permissive}' > moat.yaml"
    done = project.run("run", "--trust", "--", "sh", "-c", attempt)
    assert (2, PROJECT) == (done.returncode, done.stdout)
    assert PROJECT == (project.workspace / "moat.yaml").read_text()


def test_a_file_that_the_agent_makes_is_new(cli: Cli) -> None:
    """Where there was none, one can be made in the box; it counts for nothing by itself."""
    attempt = "echo 'network: {policy: permissive}' > moat.yaml"
    assert 0 == cli.run("run", "--", "sh", "-c", attempt).returncode
    assert 2 == cli.run("run", "--", "true").returncode


def test_the_older_name_is_taken_with_a_warning(cli: Cli) -> None:
    """agent.yaml says the same things."""
    (cli.workspace / "agent.yaml").write_text(PROJECT)
    done = cli.run("run", "--trust")
    assert (0, "hello\n") == (done.returncode, done.stdout)
    assert "rename it" in done.stderr


def test_a_file_that_is_wrong_is_told_with_its_place(project: Cli) -> None:
    """File, line, column, and what may have been meant; before any question."""
    (project.workspace / "moat.yaml").write_text("name: x\nnetwrk: {}\n")
    done = project.run("run", "--trust")
    assert 2 == done.returncode
    assert f"{project.workspace}/moat.yaml:2:1: unknown key" in done.stderr
    assert 'did you mean "network"?' in done.stderr


def test_a_link_is_not_followed(project: Cli, tmp_path: Path) -> None:
    """Not even to quote what it leads to in an error."""
    secret = tmp_path / "secret"
    secret.write_text("name: [oops-secret\n")
    file = project.workspace / "moat.yaml"
    file.unlink()
    file.symlink_to(secret)
    done = project.run("run", "--trust", "--", "true")
    assert 2 == done.returncode
    assert "symbolic link" in done.stderr
    assert "oops" not in done.stderr


def test_a_plan_is_shown_and_nothing_started(project: Cli, tmp_path: Path) -> None:
    """All of it as data: what it would run, see, reach; the names of variables without values."""
    (tmp_path / "data").mkdir()
    project.grant_unasked()
    done = project.run(
        "run", "--dry-run", "--json", "-g", "openai", "-e", "TOKEN=private",
        "-m", f"{tmp_path}/data:/data:rw", "--allow-host", "localhost:8080", "-n", "mine",
    )  # fmt: skip
    plan = json.loads(done.stdout)
    assert ("mine", ["sh", "-c", "echo $GREETING"]) == (plan["name"], plan["command"])
    assert {"source": f"{tmp_path}/data", "target": "/data", "writable": True} in plan["mounts"]
    assert {"TOKEN", "GREETING", "OPENAI_API_KEY"} <= set(plan["environment"])
    assert "private" not in done.stdout
    assert REAL_KEY not in done.stdout
    assert ["moat.yaml"] == plan["read_only_in_workspace"]
    assert "deny" == plan["policy"]["default"]
    assert [
        "allow api.openai.com (a grant is bound to it)",
        "allow localhost:8080 (--allow-host)",
        "allow example.com (moat.yaml)",
    ] == plan["policy"]["rules"]
    assert [
        {
            "destination": "https://api.openai.com",
            "header": "Authorization",
            "grant": "openai",
            "headers": [],
        }
    ] == plan["injections"]
    assert "was not agreed to yet" in done.stderr
    assert [] == project.runs()
    text = project.run("run", "--dry-run", "-e", "TOKEN=private").stdout
    assert "deny by default" in text
    assert "private" not in text


def test_variables_reach_the_box(cli: Cli) -> None:
    """As typed, or as they are here; and one that is not set is told."""
    script = 'echo "$A-$B"'
    done = cli.run("run", "-e", "A=1=2", "-e", "B", "--", "sh", "-c", script, env={"B": "here"})
    assert "1=2-here\n" == done.stdout
    done = cli.run("run", "-e", "NOT_SET_HERE", "--", "true")
    assert (2, True) == (done.returncode, "NOT_SET_HERE is not set here" in done.stderr)


def test_a_key_in_a_variable_does_not_reach_the_box(cli: Cli) -> None:
    """Nor one in the command: what is granted is put in on the wire."""
    cli.grant_unasked()
    for arguments in (
        ["-e", f"A=x{REAL_KEY}", "--", "true"],
        ["--", "echo", REAL_KEY],
    ):
        done = cli.run("run", "-g", "openai", *arguments)
        assert 1 == done.returncode
        assert "no secret enters a box" in done.stderr
        assert REAL_KEY not in done.stdout + done.stderr
    done = cli.run("run", "-g", "openai", "-e", "OPENAI_API_KEY", "--", "true",
                   env={"OPENAI_API_KEY": REAL_KEY})  # fmt: skip
    assert (2, True) == (done.returncode, "placeholder" in done.stderr)


def test_mounts_are_read_only_unless_said(cli: Cli, tmp_path: Path) -> None:
    """One to read, one to write."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "file").write_text("given\n")
    done = cli.run(
        "run", "-m", f"{tmp_path}/in:/in", "-m", f"{tmp_path}/out:/out:rw", "--", "sh", "-c",
        "cat /in/file; echo made > /out/file; echo no > /in/file",
    )  # fmt: skip
    assert (2, "given\n") == (done.returncode, done.stdout)
    assert "made\n" == (tmp_path / "out" / "file").read_text()
    assert "given\n" == (tmp_path / "in" / "file").read_text()


def test_a_run_is_found_by_its_name(cli: Cli) -> None:
    """The newest of the name."""
    for word in ("one", "two"):
        assert 0 == cli.run("run", "-n", "mine", "--", "echo", word).returncode
    assert 0 == cli.run("run", "--", "echo", "other").returncode
    assert "two\n" == cli.run("logs", "mine").stdout
    assert ["mine"] * 2 == [run["name"] for run in cli.runs() if run["name"]]


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "../x", "a" * 42, "0123456789"])
def test_a_name_is_plain(cli: Cli, name: str) -> None:
    """Nothing that could be an option, a path or the id of a run."""
    done = cli.run("run", f"--name={name}", "--", "true")
    assert (2, True) == (done.returncode, "--name" in done.stderr)


def test_a_name_that_is_taken_is_told(cli: Cli) -> None:
    """By a run that goes on; once it has ended, the name is free."""
    with cli.started("run", "-n", "mine", "--", "sh", "-c", "echo up; read x", stdin=-1) as process:
        assert process.stdout is not None
        assert "up\n" == process.stdout.readline()
        done = cli.run("run", "-n", "mine", "--", "true")
        assert (2, True) == (done.returncode, "is called mine" in done.stderr)
        process.communicate("\n", timeout=30)
    assert 0 == cli.run("run", "-n", "mine", "--", "true").returncode


def test_what_a_project_depends_on_is_looked_for(cli: Cli) -> None:
    """Before anything is made."""
    (cli.workspace / "moat.yaml").write_text("dependencies: [sh, no-such-thing]\n")
    done = cli.run("run", "--trust", "--", "true")
    assert (2, True) == (done.returncode, "no program no-such-thing" in done.stderr)
    assert [] == cli.runs()


def test_an_agent_that_is_none_is_told(cli: Cli) -> None:
    """Even where another command is run: the file is wrong."""
    (cli.workspace / "moat.yaml").write_text("agent: cdex\n")
    done = cli.run("run", "--trust", "--", "true")
    assert (2, True) == (done.returncode, "known agents: codex" in done.stderr)


def test_permissive_is_the_projects_to_ask(cli: Cli) -> None:
    """It lets every public host through, and still none that is not."""
    script = (
        "import urllib.request as u\n"
        "for url in ('http://169.254.169.254/', 'http://10.0.0.1/', 'http://[::1]:1/'):\n"
        "    try: u.build_opener(u.ProxyHandler({'http': 'http://127.0.0.1:3128'})).open(url)\n"
        "    except Exception as e: print(e.code)\n"
    )
    (cli.workspace / "moat.yaml").write_text("network: {policy: permissive}\n")
    asked = cli.run("run", "--", "true").stderr
    assert "permissive" in asked
    done = cli.run("run", "--trust", "--", "/usr/bin/python3", "-c", script)
    assert "403\n403\n403\n" == done.stdout
    verdicts = {item["outcome"] for item in cli.json("trace")}
    assert "forwarded" not in verdicts
