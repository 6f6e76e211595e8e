import os
import subprocess
import sys
from pathlib import Path

import moat.tools.launch

LAUNCH = [sys.executable, "-I", "-S", str(Path(moat.tools.launch.__file__))]


def test_the_program_takes_the_place_of_the_launcher():
    argv = [*LAUNCH, str(os.getpid()), "/bin/echo", "a b", "c"]
    assert subprocess.check_output(argv, text=True) == "a b c\n"


def test_nothing_is_started_for_a_parent_that_is_dead():
    """It died before the kernel was asked to tell: the signal would never come."""
    ended = subprocess.run([*LAUNCH, "1", "/bin/echo", "hello"], stdout=subprocess.PIPE)
    assert (ended.returncode, ended.stdout) == (1, b"")


def test_the_program_dies_with_its_parent(tmp_path, alive, eventually):
    script = (
        "import os, subprocess, sys\n"
        "p = subprocess.Popen([*sys.argv[1:], str(os.getpid()), '/bin/sleep', '60'])\n"
        "print(p.pid, flush=True); p.wait()"
    )
    argv = [sys.executable, "-c", script, *LAUNCH]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        eventually(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
        parent.kill()
    eventually(lambda: not alive(pid))
