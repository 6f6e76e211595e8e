"""What a hostile agent can do about the question whether it may, and about where it is answered."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moat.errors import MoatError
from moat.run.command_socket import tell
from support.cli import Cli
from support.drip import Drip
from support.processes import wait_until
from support.pty import Terminal
from support.sink import Sinks

pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="needs curl in /usr"),
]

HOST = "a.example.com"
ASK = f"curl -s -o /dev/null -w '%{{http_code}}\\n' https://{HOST}"
PYTHON = shutil.which("python3", path="/usr/bin:/bin")


def point_at(cli: Cli, ca_file: Path, port: int) -> None:
    """Let the host be a server of ours."""
    file = cli.home / "config.yaml"
    file.write_text(
        f'upstream:\n  ca_file: {ca_file}\n  connect_to: {{"{HOST}:443": "127.0.0.1:{port}"}}\n'
    )
    file.chmod(0o600)


@pytest.fixture
def sinks(cli: Cli, tmp_path: Path) -> Iterator[Sinks]:
    with Sinks(tmp_path / "sinks", hosts=(HOST,), names=("sink",)) as running:
        point_at(cli, running.ca_file, running.ports["sink"])
        yield running


def asking(cli: Cli, script: str, *options: str) -> list[str]:
    return cli.command("run", "--policy", "ask", *options, "--", "/bin/sh", "-c", script)


# Prints without end: what hides a question, what pretends to be another, and what makes a
# terminal type. It says that it does in words that are nowhere else.
DRAWS = f"""
while :; do
  printf '\\033[2J\\033[1;1Hhttps://trusted.example FAKE\\033[6n\\033[5n\\033[c\\033]0;FAKE\\007'
  sleep 0.01
done & {ASK} > code; kill $!
"""


def test_nothing_is_drawn_over_a_question(cli: Cli, sinks: Sinks) -> None:
    """From its first letter to the answer, all that comes to the terminal is Moat's own."""
    with Terminal() as terminal:
        with terminal.running(cli, *asking(cli, DRAWS)) as process:
            terminal.wait_for(b"FAKE")
            terminal.wait_for(b"then Enter: ")
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                terminal.look()
            terminal.type(b"r\r")
            terminal.wait_for(b"\x1b[?1049l")
            assert 0 == terminal.wait(process)
        question = terminal.seen.partition(b"\x1b[?1049h")[2].partition(b"\x1b[?1049l")[0]
    assert b"FAKE" not in question
    assert f"https://{HOST}".encode() in question
    assert b"FAKE" in terminal.seen.partition(b"\x1b[?1049h")[0]
    assert "200" == (cli.workspace / "code").read_text().strip()


# What a terminal types when asked where its cursor is, how it is, what it is, and for its title.
REPLIES = {
    b"\x1b[6n": b"\x1b[24;80R",
    b"\x1b[5n": b"\x1b[0n",
    b"\x1b[c": b"\x1b[?62;22c",
    b"\x1b[21t": b"\x1b]lr\x1b\\",
}
QUERIES = f"""
printf '\\033]2;r\\007'
while :; do printf '\\033[21t\\033[6n\\033[5n\\033[c'; sleep 0.01; done & {ASK} > code; kill $!
"""


def test_a_terminal_cannot_be_made_to_answer(cli: Cli, sinks: Sinks) -> None:
    """It is slow, and replies when the question is there already; then a person presses Enter.

    Only where all sequences are let pass do they come that far.
    """
    command = asking(cli, QUERIES, "--unfiltered")
    with Terminal() as terminal, terminal.running(cli, *command) as process:
        terminal.wait_for(f"    https://{HOST}\x1b".encode())
        queries = re.findall(rb"\x1b\[(?:6n|5n|c|21t)", terminal.seen)
        assert set(REPLIES) == set(queries)
        for query in queries[-20:]:
            terminal.type(REPLIES[query])
        terminal.wait_for(b"then Enter: ")
        terminal.type(b"\r")
        assert 0 == terminal.wait(process)
    assert "403" == (cli.workspace / "code").read_text().strip()
    assert [] == sinks.seen["sink"]


def test_output_comes_after_the_answer_whole(cli: Cli, sinks: Sinks) -> None:
    """What was held back meanwhile is not lost, and not in another order."""
    script = f"i=0; {ASK} > code & while [ $i -lt 3000 ]; do i=$((i+1)); echo line-$i; done; wait"
    with Terminal() as terminal:
        with terminal.running(cli, *asking(cli, script)) as process:
            terminal.wait_for(b"then Enter: ")
            terminal.type(b"n\r")
            assert 0 == terminal.wait(process)
        numbers = [int(number) for number in re.findall(rb"line-(\d+)", terminal.seen)]
    assert [*range(1, 3001)] == numbers


# Looks for sockets in the file system, among its descriptors, and where the run's is on the host.
REACH = """
import json, os, socket, sys
found = {"files": [], "descriptors": [], "answers": []}
for root, folders, files in os.walk("/") if sys.argv[2] == "walk" else ():
    folders[:] = [name for name in folders if (root, name) not in (("/", "proc"), ("/", "sys"))]
    for name in files:
        if (os.lstat(os.path.join(root, name)).st_mode & 0o170000) != 0o140000:
            continue
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                os.chdir(root)
                client.connect(name)
            except OSError:
                continue  # nobody is behind it: what stands in for a guarded file
            found["files"].append(os.path.join(root, name))
for number in range(100):
    try:
        target = os.readlink("/proc/self/fd/%d" % number)
    except OSError:
        continue
    if target.startswith("socket:"):
        found["descriptors"].append(target)
roots = ["/proc/%s/root" % name for name in os.listdir("/proc") if name.isdigit()]
for root in ["", *roots]:
    try:
        os.chdir(root + sys.argv[1])  # the address of a socket may be too short for the path
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect("control")
            client.sendall(b'{"do": "questions"}\\n')
            found["answers"].append(client.recv(10000).decode())
            break
    except OSError:
        pass
print(json.dumps(found))
"""


def test_the_box_cannot_reach_where_a_run_is_told(cli: Cli) -> None:
    """No path and no descriptor leads there; without a box, as the same user, one does."""
    if PYTHON is None:
        pytest.skip("no python3 in /usr/bin to attack with")
    (cli.workspace / "reach.py").write_text(REACH)
    script = f"while [ ! -e go ]; do sleep 0.05; done; {PYTHON} -I reach.py $(cat go) walk"
    with cli.started("run", "--", "/bin/sh", "-c", script) as process:
        wait_until(lambda: [*cli.home.glob("runs/*/control")], what="it takes commands")
        (place,) = (path.parent for path in cli.home.glob("runs/*/control"))
        outside = subprocess.run(
            [PYTHON, "-I", cli.workspace / "reach.py", place, "-"],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert '"questions": []' in json.loads(outside.stdout)["answers"][0]
        (cli.workspace / "go.new").write_text(str(place))
        (cli.workspace / "go.new").rename(cli.workspace / "go")
        printed, said = process.communicate(timeout=120)
    assert 0 == process.returncode, said
    assert {"files": [], "descriptors": [], "answers": []} == json.loads(printed)
    with pytest.raises(MoatError, match="it has ended"):
        tell(place, {"do": "questions"})


@pytest.mark.parametrize("below", ["", "runs"])
def test_moats_own_directory_cannot_be_mounted(cli: Cli, below: str) -> None:
    """Nor anything in which the socket of a run is."""
    (cli.home / "runs").mkdir(mode=0o700)
    place = (cli.home / below).resolve()
    done = cli.run("run", "--mount", f"{place}:/mnt", "--", "true")
    assert 2 == done.returncode
    assert [] == [*cli.home.glob("runs/*/run.json")]


def test_what_is_denied_is_cut_off_in_the_midst(cli: Cli, tmp_path: Path) -> None:
    """An answer that comes and comes ends with the word that denies it, and is recorded."""
    drip = Drip(tmp_path / "drip", HOST)
    try:
        point_at(cli, drip.ca_file, drip.port)
        script = f"curl -sN https://{HOST} > got; echo $?"
        with cli.started("run", "--allow-host", HOST, "--", "/bin/sh", "-c", script) as process:
            got = cli.workspace / "got"
            wait_until(lambda: got.exists() and got.stat().st_size > 10, what="it comes")
            assert 0 == cli.run("allow", "other.example.com").returncode
            size = got.stat().st_size
            wait_until(lambda: got.stat().st_size > size, what="it goes on")
            assert 0 == cli.run("deny", HOST).returncode
            printed, _ = process.communicate(timeout=30)
    finally:
        drip.close()
    assert printed.strip() not in ("", "0")
    (entry,) = cli.json("trace")
    assert ("failed", 200) == (entry["outcome"], entry["status"])


def test_questions_without_end_bury_nobody(cli: Cli, sinks: Sinks) -> None:
    """However many hosts are asked for, there are so many questions and no more; `q` ends them."""
    script = (
        "i=0; while [ $i -lt 60 ]; do i=$((i+1)); "
        f"{ASK.replace(HOST, 'h$i.example.com')} > c$i & done; wait; {ASK} > code"
    )
    with Terminal() as terminal, terminal.running(cli, *asking(cli, script)) as process:
        terminal.wait_for(b"then Enter: ")
        assert len(cli.json("approve")) <= 16
        terminal.type(b"q\r")
        assert 0 == terminal.wait(process, seconds=60)
    codes = [(cli.workspace / f"c{number}").read_text().strip() for number in range(1, 61)]
    assert ["403"] * 60 == codes
    assert "403" == (cli.workspace / "code").read_text().strip()
