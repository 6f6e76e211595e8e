"""What an agent may have left in the workspace, or the person in their shell, when a run starts."""

from __future__ import annotations

import os
import resource
import subprocess
import uuid
from pathlib import Path

import pytest

from support.boxes import run_twin
from support.cli import Cli
from support.users import User

pytestmark = pytest.mark.attack

# Named as what Moat mounts, stages and makes, and as what tools look for.
TRAPS = (
    "workspace", "home", "home/agent", ".codex", "etc", "etc/passwd", "moat", "moat/init", "opt",
    "opt/moat", "tmp", "run", "dev", "proc", "usr", ".git", ".moat", "run.json", "stage",
)  # fmt: skip


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Every file below a directory, with its mode and time of change."""
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns) for path in directory.rglob("*")
    }


def set_traps(user: User, cli: Cli) -> Path:
    """Links in the workspace that lead to a directory of the host."""
    target = user.new_directory()
    for name in TRAPS:
        trap = cli.workspace / name
        if not trap.parent.is_symlink():
            trap.symlink_to(target)
    return target


def test_links_in_the_workspace_are_not_followed(user: User, user_cli: Cli) -> None:
    """Whatever they are named as, nothing appears where they lead to."""
    target = set_traps(user, user_cli)
    before = snapshot(target)

    done = user_cli.run("run", "--", "/bin/sh", "-c", "ls; ls home/ .codex/")

    assert ".codex" not in done.stdout.split()
    assert "No such file or directory" in done.stderr
    assert before == snapshot(target)


def test_a_mount_beneath_the_workspace_would_follow_them(user: User, user_cli: Cli) -> None:
    """Why nothing is mounted there: bubblewrap before 0.12 makes directories on the host so."""
    target = user.new_directory()
    outside = f"/oldroot{target}"
    (user_cli.workspace / "trap").symlink_to(outside)

    run_twin(
        user,
        user_cli.workspace,
        ["/bin/true"],
        lambda arguments: [*arguments[:-2], "--dir", "/workspace/trap/made", *arguments[-2:]],
    )

    if not snapshot(target):
        pytest.skip("this bubblewrap follows no links (CVE-2026-87766 is mended in it)")
    assert {str(target / "made")} == snapshot(target).keys()


@pytest.mark.parametrize("safe", [True, False])
def test_python_modules_in_the_workspace_are_not_imported(
    user: User, user_cli: Cli, safe: bool
) -> None:
    """The command runs none of the agent's code on the host; `python -m` in its place would."""
    ran = user_cli.home.parent / "ran"
    for name in ("json", "socket", "yaml", "uvloop", "sitecustomize", "usercustomize", "moat"):
        planted = f"open({str(ran)!r}, 'a').write({name!r})\nraise SystemExit(77)\n"
        (user_cli.workspace / f"{name}.py").write_text(planted)
    installed = user.python.parent / "moat"
    if installed.exists() and safe:
        command = [*user.become, str(installed), "run", "--", "true"]
    else:
        command = [word for word in user_cli.command("run", "--", "true") if safe or word != "-P"]

    done = subprocess.run(
        command, cwd=user_cli.workspace, env=user_cli.environ(), capture_output=True, check=False
    )

    assert (0 if safe else 77) == done.returncode, done.stderr
    assert safe != ran.exists()


@pytest.mark.parametrize("number", [3, 17, 900])
def test_inherited_descriptors_stay_outside(user: User, user_cli: Cli, number: int) -> None:
    """However high its number, no file that was open when moat was started is open in the box."""
    marker = f"secret-{uuid.uuid4().hex}"
    secret = user_cli.home.parent / "secret.txt"
    secret.write_text(marker)
    held = os.open(secret, os.O_RDONLY)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def inherit() -> None:
        os.dup2(held, number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # lower than 900

    attack = "for fd in /proc/$$/fd/*; do [ ! -f $fd ] || cat $fd; done; echo end"
    outputs = []
    for command in (user_cli.command("run", "--"), list(user.become)):
        done = subprocess.run(
            [*command, "/bin/sh", "-c", attack],
            cwd=user_cli.workspace,
            env=user_cli.environ(),
            close_fds=False,
            preexec_fn=inherit,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        outputs.append(done.stdout)
    os.close(held)

    boxed, alone = outputs
    assert marker in alone  # the attack finds it where it is
    assert "end\n" == boxed


def test_one_clear_error_where_namespaces_are_forbidden(user: User, user_cli: Cli) -> None:
    """A machine that cannot make boxes gets told, with a cure, and nothing is left behind."""
    token = f"never-{uuid.uuid4().hex}"
    forbidding = [
        str(user.bwrap),
        "--dev-bind",
        "/",
        "/",
        "--unshare-user",
        "--disable-userns",
        "--",
    ]

    done = subprocess.run(
        [
            *user.become,
            *forbidding,
            *user_cli.command("run", "--", "touch", token)[len(user.become) :],
        ],
        cwd=user_cli.workspace,
        env=user_cli.environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (1, "") == (done.returncode, done.stdout)
    said = done.stderr.splitlines()
    assert said[0].startswith("moat: the sandbox cannot be made"), said
    assert "namespaces" in said[0]
    assert said[1].startswith("hint: "), said
    assert len(said) == 2, said
    assert not (user_cli.workspace / token).exists()
    (run,) = user_cli.runs()
    assert ("failed", None) == (run["state"], run["exit_code"])
    assert not (user_cli.home / "runs" / run["run"] / "stage").exists()
