"""Whatever is wrong, one error says so and what to type next; nothing is lost or left behind."""

from __future__ import annotations

import fcntl
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.cli import REAL_KEY, Cli
from support.standin import RunningStandIn

SOMEBODY = 54321
URL = "https://api.openai.com/v1/models"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
no_root = pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
needs_curl = pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="needs curl in /usr")


def said(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> str:
    """Judge an error: its exit code, what it says, its form; the hint."""
    assert (code, "") == (done.returncode, done.stdout), done.stderr
    assert "Traceback" not in done.stderr
    assert REAL_KEY not in done.stderr
    message, *hint = done.stderr.splitlines()
    assert message.startswith("moat: ")
    assert len(hint) <= 1
    assert not hint or hint[0].startswith("hint: ")
    for part in parts:
        assert part in message, message
    return hint[0].removeprefix("hint: ") if hint else ""


def below(home: Path) -> set[str]:
    """What there is in a home, but for locks and for what was there before."""
    kept = {"config.yaml", "credentials", "runs", "tools", "ca"}
    return {
        name
        for path in home.rglob("*")
        if (name := str(path.relative_to(home))) not in kept and not name.endswith("lock")
    }


def processes(token: str) -> list[str]:
    """The processes that have a token in their command line, but for the dead."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if token.encode() in command:
                found.append(f"{entry.name}: {command!r}")
    return found


def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


# grants


@pytest.fixture
def npm(cli: Cli) -> Path:
    """An npm that fails half-way, before the real one on PATH; the file tells if it was asked."""
    folder = cli.home.parent / "bin"
    folder.mkdir()
    asked = folder / "asked"
    (folder / "npm").write_text(
        "#!/bin/sh\n"
        '[ "$1" = --version ] && { echo 11.0.0; exit 0; }\n'
        f'echo "$@" >> {asked}\n'
        'echo half > "$4/half.tgz"\n'
        'echo "npm error code E502" >&2\n'
        'echo "npm error 502 Bad Gateway - GET https://npm.example.org/@openai%2fcodex" >&2\n'
        "exit 1\n"
    )
    (folder / "npm").chmod(0o755)
    cli.environment["PATH"] = f"{folder}:{os.environ['PATH']}"
    return asked


def test_a_missing_grant_is_told_before_anything_is_fetched(cli: Cli, npm: Path) -> None:
    """The next command is named, and no download begins."""
    for arguments in (["codex", "-p", "x"], ["run", "-g", "openai", "--", "true"]):
        hint = said(cli.run(*arguments), 1, "there is no grant for openai")
        assert "run: moat grant openai" == hint
    assert not npm.exists()
    assert set() == below(cli.home)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["grant", "opnai"], "there is no provider 'opnai'"),
        (["revoke", "opnai"], "there is no grant 'opnai'"),
    ],
)
def test_an_unknown_provider_is_told(cli: Cli, arguments: list[str], message: str) -> None:
    """With the nearest known one; nobody is asked for a key, and no home is made."""
    cli.home.rmdir()
    hint = said(cli.run(*arguments), 2, message)
    assert "did you mean openai?" == hint
    assert not cli.home.exists()


def test_an_unknown_provider_in_an_option_is_told(cli: Cli) -> None:
    """The same for a run."""
    done = cli.run("run", "-g", "gthub", "--", "true")
    hint = said(done, 2, "there is no grant 'gthub': nothing is stored under that name")
    assert hint.startswith("nothing is stored yet; to store one of that name: moat grant header")
    assert set() == below(cli.home)


@pytest.mark.parametrize("key", ["key", "sk-", "sk-1 2", "sk-1\nsk-2"])
def test_what_is_no_key_is_not_stored(cli: Cli, standin: RunningStandIn, key: str) -> None:
    """It is not even shown to OpenAI."""
    cli.point_at(standin)
    done = cli.run("grant", "openai", env={"OPENAI_API_KEY": key})
    assert "platform.openai.com/api-keys" in said(done, 1, "API key")
    assert [] == standin.server.seen
    assert set() == below(cli.home)


def test_without_a_key_the_variable_is_named(cli: Cli) -> None:
    """Where there is no terminal to ask at."""
    for env in ({}, {"OPENAI_API_KEY": ""}, {"OPENAI_API_KEY": " \n"}):
        done = cli.run("grant", "openai", env=env)
        assert "OPENAI_API_KEY=sk-… moat grant openai" in said(done, 1, "no terminal to ask")
    assert set() == below(cli.home)


def test_a_rejected_key_is_not_stored(cli: Cli, standin: RunningStandIn) -> None:
    """401 is told as that, and a good key that was stored before stays."""
    cli.point_at(standin)
    wrong = {"OPENAI_API_KEY": "sk-wrong-0123456789"}
    said(cli.run("grant", "openai", env=wrong), 1, "OpenAI rejected the key (401)")
    assert set() == below(cli.home)
    cli.grant()
    before = (cli.home / "credentials/default/openai.json").read_bytes()
    done = cli.run("grant", "openai", env=wrong)
    said(done, 1, "rejected")
    assert "0123456789" not in done.stderr
    assert before == (cli.home / "credentials/default/openai.json").read_bytes()


def test_a_key_that_cannot_be_checked_is_not_stored(cli: Cli) -> None:
    """With nobody at the other end the network is named, not the key."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        connect_to(cli, f"127.0.0.1:{taken.getsockname()[1]}")
        done = cli.run("grant", "openai", env={"OPENAI_API_KEY": REAL_KEY})
    assert "moat grant openai" in said(done, 1, "cannot be reached: Connection refused")
    assert set() == below(cli.home)


def test_an_unknown_certificate_gets_no_key(cli: Cli, standin: RunningStandIn) -> None:
    """Who stands between is told by its certificate, and has not seen the key."""
    connect_to(cli, f"127.0.0.1:{standin.port}")
    done = cli.run("grant", "openai", env={"OPENAI_API_KEY": REAL_KEY})
    said(done, 1, "the certificate of api.openai.com is not trusted")
    assert [] == standin.server.seen
    assert set() == below(cli.home)


def connect_to(cli: Cli, where: str) -> None:
    file = cli.home / "config.yaml"
    file.write_text(f'upstream:\n  connect_to: {{"api.openai.com:443": "{where}"}}\n')
    file.chmod(0o600)


@pytest.fixture
def granted(cli: Cli, standin: RunningStandIn) -> Cli:
    """With the key granted, and no tool installed."""
    cli.point_at(standin)
    cli.grant()
    return cli


def spoil(cli: Cli, what: str) -> None:
    credentials = cli.home / "credentials"
    if what == "damaged key":
        (credentials / "vault.key").write_bytes(b"x")
    elif what == "another key":
        (credentials / "vault.key").write_bytes(bytes(32))
    elif what == "lost key":
        (credentials / "vault.key").unlink()
    elif what == "readable key":
        (credentials / "vault.key").chmod(0o644)
    elif what == "readable credential":
        (credentials / "default/openai.json").chmod(0o640)
    elif what == "open directory":
        credentials.chmod(0o755)
    else:
        (credentials / "default/openai.json").write_text('{"format": 9}')


SPOILT = {
    "damaged key": ("vault.key is damaged", "restore it from a backup"),
    "another key": ("cannot be opened", "moat grant openai"),
    "lost key": ("is missing", "moat revoke openai && moat grant openai"),
    "readable key": ("vault.key is open to other users (mode 0644)", "run: chmod 600"),
    "readable credential": ("openai.json is open to other users", "run: chmod 600"),
    "open directory": ("credentials is open to other users", "run: chmod 700"),
    "newer format": ("was stored by a newer Moat", "run the newer moat"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_grant_that_does_not_open_is_told(granted: Cli, npm: Path, what: str) -> None:
    """Before a download, and by each command that needs it, with what mends it."""
    spoil(granted, what)
    message, hint = SPOILT[what]
    for arguments in (["codex", "-p", "x"], ["run", "-g", "openai", "--", "true"]):
        assert hint in said(granted.run(*arguments), 1, message)
    assert not npm.exists()
    assert [] == list(granted.home.glob("runs/*/stage"))


@pytest.mark.parametrize("what", ["readable key", "readable credential", "open directory"])
def test_doing_what_the_hint_says_mends_it(granted: Cli, what: str) -> None:
    """The twin: after the chmod that was named the run works."""
    spoil(granted, what)
    run = ["run", "-g", "openai", "--", "echo", "works"]
    hint = said(granted.run(*run), 1)
    subprocess.run(hint.removeprefix("run: "), shell=True, check=True)
    assert (0, "works\n") == (granted.run(*run).returncode, granted.run(*run).stdout)


# workspaces


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("none", "does not exist"),
        ("", "is empty"),
        ("/", "it is the whole file system"),
        ("{home}", "your home directory"),
        ("..", "your home directory"),
        ("{home}/home", "Moat's own files"),
        ("/etc", "it is a system directory"),
        ("/dev/null", "is not a directory"),
    ],
)
def test_a_workspace_that_cannot_be_is_told(
    granted: Cli, npm: Path, given: str, message: str
) -> None:
    """Exit code 2, before anything is fetched or made."""
    given = given.format(home=granted.home.parent)
    before = below(granted.home)
    assert said(granted.run("codex", "-p", "x", given), 2, "the workspace", message)
    assert said(granted.run("run", "-w", given, "--", "true"), 2, "the workspace", message)
    assert not npm.exists()
    assert before == below(granted.home)


def home_of_record() -> str | None:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None


def test_the_users_home_is_known_without_its_variable(cli: Cli) -> None:
    """An environment without HOME opens no home directory."""
    home = home_of_record()
    if home is None or not Path(home).is_dir():
        pytest.skip("whoever runs the tests has no home directory")
    environment = {name: text for name, text in cli.environ().items() if name != "HOME"}
    done = subprocess.run(
        cli.command("run", "-w", home, "--", "true"),
        cwd=cli.workspace,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    said(done, 2, "is refused: it is your home directory")
    done = subprocess.run(
        cli.command("run", "--", "echo", "works"),
        cwd=cli.workspace,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (0, "works\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("host", ["https://github.com", "a b", "*.com", "127.1", ""])
def test_a_host_that_is_none_is_told(granted: Cli, npm: Path, host: str) -> None:
    """Before anything is fetched, with how a host is written."""
    for arguments in (["codex", "-p", "x"], ["run"]):
        end = [] if arguments[0] == "codex" else ["--", "true"]
        done = granted.run(*arguments, "--allow-host", host, *end)
        assert "--allow-host github.com" in said(done, 2, "--allow-host: ")
    assert not npm.exists()


# downloads


def test_an_npm_that_fails_half_way_leaves_nothing(granted: Cli, npm: Path) -> None:
    """What it said is told, and there is no tool, no run and no half file."""
    before = below(granted.home)
    done = granted.run("codex", "-p", "x")
    assert (1, "") == (done.returncode, done.stdout)
    assert "Traceback" not in done.stderr
    assert "Bad Gateway" in done.stderr
    assert 1 == sum(line.startswith("moat: ") for line in done.stderr.splitlines())
    assert npm.exists()
    assert before == {name for name in below(granted.home) if not name.startswith("tools/.work")}
    assert [] == list((granted.home / "tools").rglob("*.tgz"))
    assert [] == granted.json("list")


# settings


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ('upstream:\n  connect_to: {"api.openai.com:443": "nowhere"}\n', "2:38"),
        ('upstream:\n  connect_to: {"api.openai.com": "127.0.0.1:1"}\n', "2:16"),
        ('upstream:\n  connect_to: {"api.openai.com:443": "127.0.0.1:99999"}\n', "2:38"),
        ("upstream:\n  connect_to: 7\n", "2:15"),
        ("upstream:\n  conect_to: {}\n", "2:3"),
        ("upstream: [\n", ""),
        ("upstream:\n  ca_file: /none.pem\n", "2:12"),
    ],
)
def test_settings_that_cannot_be_are_told_by_line_and_column(
    cli: Cli, npm: Path, text: str, at: str
) -> None:
    """FILE:LINE:COLUMN, exit code 2, and nothing is asked or made."""
    (cli.home / "config.yaml").write_text(text)
    for arguments in (["codex", "-p", "x"], ["run", "--", "true"], ["grant", "openai"]):
        done = cli.run(*arguments, env={"OPENAI_API_KEY": REAL_KEY})
        assert (2, "") == (done.returncode, done.stdout)
        assert f"moat: {cli.home}/config.yaml:{at}" in done.stderr
        assert "Traceback" not in done.stderr
    assert set() == below(cli.home)
    assert not npm.exists()


# the other end


@needs_curl
def test_an_upstream_that_is_down_is_told_to_the_command(granted: Cli) -> None:
    """The command gets a 502 that says why, ends as it will, and the trace has it as failed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        connect_to(granted, f"127.0.0.1:{port}")
        done = granted.run("run", "-g", "openai", "--", "curl", "-s", URL)
        failing = granted.run("run", "-g", "openai", "--", "curl", "-sf", URL)
    assert (0, "") == (done.returncode, done.stderr)
    assert "urn:moat:problem:upstream-unreachable" in done.stdout
    assert "Connection refused" in done.stdout
    assert 22 == failing.returncode
    (exchange,) = granted.json("trace")
    assert ("failed", 502, []) == (exchange["outcome"], exchange["status"], exchange["grants"])


@needs_curl
def test_an_upstream_with_an_unknown_certificate_gets_nothing(
    granted: Cli, standin: RunningStandIn
) -> None:
    """A 502 that names the certificate; the key did not leave."""
    connect_to(granted, f"127.0.0.1:{standin.port}")
    seen = len(standin.server.seen)
    done = granted.run("run", "-g", "openai", "--", "curl", "-s", URL)
    assert (0, "") == (done.returncode, done.stderr)
    assert "urn:moat:problem:upstream-certificate" in done.stdout
    assert seen == len(standin.server.seen)
    (exchange,) = granted.json("trace")
    assert ("failed", 502, []) == (exchange["outcome"], exchange["status"], exchange["grants"])


@needs_curl
def test_an_upstream_that_is_up_is_reached(granted: Cli) -> None:
    """The twin: with the certificate known and somebody there the key goes out."""
    done = granted.run("run", "-g", "openai", "--", "curl", "-sf", "-o", "/dev/null", URL)
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    (exchange,) = granted.json("trace")
    assert ("forwarded", 200, ["openai"]) == (
        exchange["outcome"],
        exchange["status"],
        exchange["grants"],
    )


# the authority


@pytest.mark.parametrize(("name", "content"), [("ca.key", None), ("ca.key", "x"), ("ca.pem", "x")])
def test_half_an_authority_is_told(cli: Cli, name: str, content: str | None) -> None:
    """A run that could reach nothing does not begin; doing what the hint says mends it."""
    assert 0 == cli.run("run", "--", "true").returncode
    if content is None:
        (cli.home / "ca" / name).unlink()
    else:
        (cli.home / "ca" / name).write_text(content)
    hint = said(cli.run("run", "--", "echo", "ran"), 1, "certificate authority")
    assert [] == list(cli.home.glob("runs/*/stage"))
    subprocess.run(hint.partition("made: ")[2], shell=True, check=True)
    assert "ran\n" == cli.run("run", "--", "echo", "ran").stdout


# where Moat's files are


def test_a_relative_home_is_refused(cli: Cli) -> None:
    """It would be another one in every directory."""
    hint = said(cli.run("run", "--", "true", env={"MOAT_HOME": "moat"}), 2, "absolute path")
    assert f"run: export MOAT_HOME={cli.workspace}/moat" == hint
    assert [] == list(cli.workspace.iterdir())


def test_a_home_others_can_change_is_refused(cli: Cli) -> None:
    """config.yaml is in it, and decides where requests go."""
    cli.home.chmod(0o777)
    hint = said(cli.run("run", "--", "true"), 1, "can be changed by other users")
    subprocess.run(hint.removeprefix("run: "), shell=True, check=True)
    assert 0 == cli.run("run", "--", "true").returncode


def test_a_home_that_is_a_link_is_refused(cli: Cli) -> None:
    """It must be there itself."""
    link = cli.home.parent / "link"
    link.symlink_to(cli.home)
    hint = said(cli.run("run", "--", "true", env={"MOAT_HOME": str(link)}), 1, "symbolic link")
    assert f"remove the link: rm {link}" == hint
    assert set() == below(cli.home)


def test_a_home_that_is_a_file_is_refused(cli: Cli) -> None:
    """Nothing of it is written over."""
    file = cli.home.parent / "file"
    file.write_text("mine")
    assert said(cli.run("run", "--", "true", env={"MOAT_HOME": str(file)}), 1, str(file))
    said(cli.run("run", "--", "true", env={"MOAT_HOME": f"{file}/below"}), 1, "cannot create")
    assert "mine" == file.read_text()


@root_only
@pytest.mark.parametrize("name", ["", "runs", "credentials", "config.yaml"])
def test_a_home_of_somebody_else_is_refused(granted: Cli, name: str) -> None:
    """Whose files they are is told, for the directory and for what is in it."""
    (granted.home / "runs").mkdir(mode=0o700)
    os.chown(granted.home / name, SOMEBODY, SOMEBODY)
    done = granted.run("run", "-g", "openai", "--", "true")
    assert "chown" in said(done, 1, f"belongs to another user (uid {SOMEBODY}")


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_open_runs_are_refused(cli: Cli, mode: int) -> None:
    """Transcripts are private: the chmod is named, and mends it."""
    (cli.home / "runs").mkdir()
    (cli.home / "runs").chmod(mode)
    hint = said(cli.run("run", "--", "true"), 1, "runs is open to other users")
    assert f"run: chmod 700 {cli.home}/runs" == hint
    (cli.home / "runs").chmod(0o700)
    assert 0 == cli.run("run", "--", "true").returncode


@no_root
def test_a_home_that_cannot_be_written_is_told(cli: Cli) -> None:
    """What could not be made is named."""
    cli.home.chmod(0o500)
    try:
        said(cli.run("run", "--", "true"), 1, "cannot create", "Permission denied")
    finally:
        cli.home.chmod(0o700)


# disks


@pytest.fixture
def on_tmpfs(cli: Cli) -> Callable[..., list[subprocess.CompletedProcess[str]]]:
    """Runs commands one after the other with the home on a tmpfs of its own.

    `setup` is shell, before each command; what the home holds at the end is in `left`.
    """
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    probe = [*unshare, "mount", "-t", "tmpfs", "moat", str(cli.home)]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("needs unshare and a mount namespace")

    def run(
        *commands: list[str], options: str, setup: str = ":", env: dict[str, str] | None = None
    ) -> list[subprocess.CompletedProcess[str]]:
        files = []
        script = f'mount -t tmpfs -o mode=700,{options} moat "$MOAT_HOME" || exit 99\n'
        for number, command in enumerate(commands):
            out = cli.home.parent / f"{number}"
            files.append(out)
            line = subprocess.list2cmdline(cli.command(*command)).replace('"', "'")
            script += f"{setup}\n{line} > {out}.out 2> {out}.err < /dev/null\n"
            script += f"echo $? > {out}.code\n"
        script += f'cd "$MOAT_HOME" && find . > {cli.home.parent}/left\n'
        environment = cli.environ(**(env or {}))
        subprocess.run(
            [*unshare, "sh", "-c", script], cwd=cli.workspace, env=environment, check=True
        )
        return [
            subprocess.CompletedProcess(
                command,
                int(Path(f"{file}.code").read_text()),
                Path(f"{file}.out").read_text(),
                Path(f"{file}.err").read_text(),
            )
            for file, command in zip(files, commands, strict=True)
        ]

    return run


Tmpfs = Callable[..., list[subprocess.CompletedProcess[str]]]
# Leaves some KiB of the disk free.
FILL = "rm -f $MOAT_HOME/fill; n={room}; dd if=/dev/zero of=$MOAT_HOME/fill bs=1k 2>/dev/null; " \
    "[ $n = 0 ] || truncate -s -${{n}}k $MOAT_HOME/fill"  # fmt: skip


@pytest.mark.parametrize("room", [0, 4, 8, 12, 20, 28, 36, 44, 52, 60, 68, 80, 100])
def test_a_full_disk_stops_a_run_cleanly(cli: Cli, on_tmpfs: Tmpfs, room: int) -> None:
    """Wherever the room runs out, it is told in a line, and nothing half-made stays behind."""
    (done,) = on_tmpfs(["run", "--", "true"], options="size=1m", setup=FILL.format(room=room))
    left = (cli.home.parent / "left").read_text().splitlines()
    assert [] == [name for name in left if "stage" in name]
    runs = {name for name in left if name.count("/") == 2 and name.startswith("./runs/")}
    recorded = {name.removesuffix("/run.json") for name in left if name.endswith("/run.json")}
    assert runs == recorded
    if done.returncode != 0:
        assert (1, "") == (done.returncode, done.stdout)
        assert "Traceback" not in done.stderr
        assert any(word in done.stderr for word in ("No space left", "disk is full", "disk I/O"))
        assert done.stderr.startswith("moat: ")
    else:
        assert room > 8


def test_a_disk_with_room_stops_nothing(on_tmpfs: Tmpfs) -> None:
    """The twin: on the same disk, with room, the run works."""
    (done,) = on_tmpfs(["run", "--", "true"], options="size=1m")
    assert (0, "") == (done.returncode, done.stderr)


def test_a_disk_that_fills_while_it_prints_stops_the_run(cli: Cli, on_tmpfs: Tmpfs) -> None:
    """What can no longer be recorded does not go on; the error names the transcript."""
    done, listed = on_tmpfs(["run", "--", "yes"], ["list", "--json"], options="size=1m")
    assert 1 == done.returncode
    assert "moat: the transcript cannot be written" in done.stderr
    assert "No space left on device" in done.stderr
    assert 2 == len(done.stderr.splitlines())
    assert any(state in listed.stdout for state in ('"failed"', '"lost"'))


@pytest.mark.parametrize("room", [0, 4])
def test_a_full_disk_stores_no_half_grant(
    cli: Cli, standin: RunningStandIn, on_tmpfs: Tmpfs, room: int
) -> None:
    """A key that does not fit is told; what is there afterwards is whole or absent."""
    settings = cli.home.parent / "settings.yaml"
    cli.point_at(standin)
    shutil.copy(cli.home / "config.yaml", settings)
    fill = f"cp {settings} $MOAT_HOME/config.yaml; " + FILL.format(room=room)
    done, listed = on_tmpfs(
        ["grant", "openai"],
        ["grant", "list", "--json"],
        options="size=64k",
        setup=fill,
        env={"OPENAI_API_KEY": REAL_KEY},
    )
    hint = said(done, 1, "the grant for openai cannot be stored", "No space left on device")
    assert "df -h" in hint
    assert (0, "[]\n") == (listed.returncode, listed.stdout)
    left = (cli.home.parent / "left").read_text().splitlines()
    assert [] == [
        name for name in left if name.rpartition("/")[2].startswith((".vault", ".openai"))
    ]


def test_a_disk_that_is_read_only_is_told(cli: Cli, on_tmpfs: Tmpfs) -> None:
    """What could not be made is named; reading works."""
    done, listed = on_tmpfs(["run", "--", "true"], ["list"], options="ro")
    said(done, 1, str(cli.home), "Read-only file system")
    assert (0, "no runs yet\n") == (listed.returncode, listed.stderr)


# Ctrl-C

# Says when `main` begins: while Python itself starts, a Ctrl-C is not ours to answer.
BEGIN = """
import os, sys
from moat.cli import main
ready, begin = int(sys.argv.pop(1)), main._ensure_standard_streams

def say_so():
    os.write(ready, b"!")
    os.close(ready)
    begin()

main._ensure_standard_streams = say_so
sys.exit(main.main())
"""


@pytest.fixture
def started(cli: Cli) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `moat` as a shell does a foreground job, and waits until its code begins."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        reads, writes = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-c", BEGIN, str(writes), *arguments],
            cwd=cli.workspace,
            env=cli.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[writes],
            process_group=0,
        )  # fmt: skip
        os.close(writes)
        assert b"!" == os.read(reads, 1)
        os.close(reads)
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def interrupted(cli: Cli, process: subprocess.Popen[str], token: str) -> None:
    """Judge a run that was interrupted."""
    out, err = process.communicate(timeout=30)
    assert (130, "") == (process.returncode, out), err
    assert err in ("", "moat: interrupted\n")
    wait_until(lambda: not processes(token), seconds=5)
    assert [] == list(cli.home.glob("runs/*/stage"))
    assert {"stopped"} >= {run["state"] for run in cli.json("list")}
    recorded = {path.parent for path in cli.home.glob("runs/*/run.json")}
    assert recorded == set(cli.home.glob("runs/*"))


DELAYS = [0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.9, 1.5]


@pytest.mark.parametrize("delay", DELAYS)
def test_ctrl_c_ends_a_run_at_any_moment(
    cli: Cli, started: Callable[..., subprocess.Popen[str]], delay: float
) -> None:
    """130, a line at most, no process, no staged file, and no record of a run that goes on."""
    token = f"30.{uuid.uuid4().int}"
    process = started("run", "--", "sleep", token)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    interrupted(cli, process, token)


@pytest.mark.parametrize("delay", [0.15, 0.6])
def test_ctrl_c_again_ends_what_does_not_listen(
    cli: Cli, started: Callable[..., subprocess.Popen[str]], delay: float
) -> None:
    """A command that ignores the first is ended by the second, without waiting."""
    token = uuid.uuid4().hex
    process = started("run", "--", "sh", "-c", f"trap '' INT TERM; sleep 30; : {token}")
    time.sleep(delay)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    interrupted(cli, process, token)
    assert time.monotonic() - began < 4


def test_a_client_that_is_asked_to_end_ends_its_run(
    cli: Cli, started: Callable[..., subprocess.Popen[str]]
) -> None:
    """SIGTERM is passed on, and the box goes."""
    token = f"30.{uuid.uuid4().int}"
    process = started("run", "--", "sleep", token)
    wait_until(lambda: [run["state"] for run in cli.json("list")] == ["running"])
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (128 + signal.SIGTERM, "") == (process.returncode, err)
    assert [] == processes(token)
    assert [("stopped", 128 + signal.SIGTERM)] == [
        (run["state"], run["exit_code"]) for run in cli.json("list")
    ]
    assert [] == list(cli.home.glob("runs/*/stage"))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_run_outlives_its_client(
    cli: Cli, started: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    """However the command line goes, the run goes on until it is stopped, and is whole then."""
    token = f"300.{uuid.uuid4().int}"
    process = started("run", "--", "sleep", token)
    wait_until(lambda: [run["state"] for run in cli.json("list")] == ["running"])
    (run,) = (item["run"] for item in cli.json("list"))
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    if number == signal.SIGHUP:
        left = f"run {run} goes on: the terminal is gone; to come back: moat attach {run}\n"
        assert (128 + number, left) == (process.returncode, err)
    else:
        assert (-number, "") == (process.returncode, err)
    assert not cli.json("status", run)["live"]["attached"]
    wait_until(lambda: "running" == cli.json("status", run)["state"])
    assert processes(token)
    done = cli.run("stop", run)
    assert (0, f"{run}\n", "") == (done.returncode, done.stdout, done.stderr)
    assert [] == processes(token)
    assert ["stopped"] == [item["state"] for item in cli.json("list")]
    assert [] == list(cli.home.glob("runs/*/stage"))


def test_a_supervisor_that_is_killed_takes_the_box_along(
    cli: Cli, started: Callable[..., subprocess.Popen[str]]
) -> None:
    """The client says what happened, the run is lost, and nothing of it runs on."""
    token = f"30.{uuid.uuid4().int}"
    process = started("run", "--", "sleep", token)
    wait_until(lambda: [run["state"] for run in cli.json("list")] == ["running"])
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    wait_until(lambda: not processes(token))
    (lost,) = cli.json("list")
    assert "lost" == lost["state"]
    assert (
        1,
        "moat: the run's supervisor died, and the run with it\nhint: what there is: moat list -a\n"
        f"run {lost['run']}: lost: its supervisor died, and the box with it\n"
        "  files: nobody has looked at what it changed in the workspace\n",
    ) == (process.returncode, err)


# at a terminal


@pytest.fixture
def terminal(cli: Cli) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], int]]]:
    """Starts `moat` at a terminal of its own; the process, and the person's side of it."""
    with_ends: list[tuple[subprocess.Popen[bytes], int]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[bytes], int]:
        master, slave = os.openpty()
        process = subprocess.Popen(
            cli.command(*arguments),
            cwd=cli.workspace,
            env=cli.environ(),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        with_ends.append((process, master))
        return process, master

    yield start
    for process, master in with_ends:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(master)


def read_until(master: int, text: bytes) -> bytes:
    """What the terminal shows up to a text."""
    shown = b""
    give_up = time.monotonic() + 20
    while text not in shown:
        assert time.monotonic() < give_up, shown
        if select.select([master], [], [], 0.2)[0]:
            shown += os.read(master, 4096)
    return shown


Terminal = Callable[..., tuple[subprocess.Popen[bytes], int]]


def test_a_key_is_typed_without_being_shown(
    cli: Cli, standin: RunningStandIn, terminal: Terminal
) -> None:
    """At a terminal the key is asked for, not echoed, and stored."""
    cli.point_at(standin)
    process, master = terminal("grant", "openai")
    read_until(master, b"(not shown): ")
    os.write(master, REAL_KEY.encode() + b"\n")
    shown = read_until(master, b"stored, sealed")
    assert 0 == process.wait(20)
    assert REAL_KEY.encode() not in shown
    assert [None] == [item["problem"] for item in cli.json("grant", "list")]


@pytest.mark.parametrize(("typed", "code"), [(b"\x03", 130), (b"\x04", 1), (b"\n", 1)])
def test_a_key_that_is_not_typed_is_not_stored(
    cli: Cli, terminal: Terminal, typed: bytes, code: int
) -> None:
    """Ctrl-C, Ctrl-D or nothing at the prompt: a line, and nothing is asked or stored."""
    process, master = terminal("grant", "openai")
    read_until(master, b"(not shown): ")
    os.write(master, typed)
    shown = read_until(master, b"interrupted" if code == 130 else b"hint: ")
    assert code == process.wait(20)
    assert b"Traceback" not in shown
    assert set() == below(cli.home)


def test_every_key_at_a_terminal_reaches_the_command(cli: Cli, terminal: Terminal) -> None:
    """To a program that takes keys as they are Ctrl-C is a key, and nobody is interrupted."""
    script = "stty raw -echo; echo up; head -c 2 | od -An -tx1; stty sane; exit 5"
    process, master = terminal("run", "--", "sh", "-c", script)
    read_until(master, b"up")
    os.write(master, b"\x03\x1a")
    shown = read_until(master, b"1a")
    assert 5 == process.wait(20)
    assert b"03 1a" in shown
    assert b"interrupted" not in shown


def test_ctrl_c_at_a_terminal_is_the_commands(cli: Cli, terminal: Terminal) -> None:
    """A command that handles Ctrl-C, as every shell does, goes on and ends as it likes."""
    script = "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 0.1; done"
    process, master = terminal("run", "--", "sh", "-c", script)
    read_until(master, b"up")
    os.write(master, b"\x03")
    assert 5 == process.wait(20)
    assert ["stopped"] == [run["state"] for run in cli.json("list")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "--policy", "open", "--", "true"],
            "moat run: --policy: 'open' is none of 'strict', 'ask', 'permissive'",
        ),
        (["policy", "x\ny"], "moat policy: groups: 'x\\ny' is none of 'groups'"),
        (["allow"], "moat allow: HOST[:PORT] is missing"),
        (["allow", "a.test", "--run"], "moat allow: --run wants a value"),
        (
            ["allow", "--once", "--always", "a"],
            "moat allow: --always and --once do not go together",
        ),
        (["approve", "x"], "'x' is no number of a question"),
    ],
)
def test_what_cannot_be_typed_is_told_plainly(cli: Cli, arguments: list[str], message: str) -> None:
    """In words of ours, on one line."""
    assert message == cli.run(*arguments).stderr.splitlines()[0].removeprefix("moat: ")
