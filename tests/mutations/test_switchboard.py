"""Each guard is off once, and an attack succeeds then; with all of them on, none does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.mutations.__main__ import verdict_on
from tests.mutations.guard import Gone, Guard, check, switched_off
from tests.mutations.runner import Result, Seen
from tests.mutations.table import GUARDS, read

ROOT = Path(__file__).parent.parent.parent

SOURCE = """\
MOST = 5

class Door:
    def open(self, who):
        if who != "me":
            raise ValueError
        return True

def other(who):
    if who != "me":
        return False
"""


class Switchboard:
    """All of it, in a process of its own; what comes of a guard is waited for."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.mutations", "--json"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._known: dict[str, str] = {}

    def wrong_with(self, name: str) -> str:
        """What is wrong with a guard; nothing, if an attack succeeds without it."""
        assert self.process.stdout is not None
        while name not in self._known:
            line = self.process.stdout.readline()
            assert line, f"the end, and nothing of {name or 'what there is without a mutation'}"
            found, verdict, details = json.loads(line)
            self._known[found] = f"{verdict}\n{details}" if details else ""
        return self._known[name]


@pytest.fixture(scope="module")
def switchboard() -> Iterator[Switchboard]:
    running = Switchboard()
    try:
        yield running
    finally:
        if running.process.poll() is None:
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()
        assert running.process.stdout is not None
        running.process.stdout.close()


@pytest.mark.attack
@pytest.mark.parametrize("name", GUARDS)
def test_somebody_misses(switchboard: Switchboard, name: str) -> None:
    """An attack succeeds without this guard."""
    assert switchboard.wrong_with(name) == ""


def test_with_all_guards_on_no_attack_succeeds(switchboard: Switchboard) -> None:
    """What fails without a guard passes with it."""
    assert switchboard.wrong_with("") == ""


# the machinery


def off(where: str, old: str, new: str = "False") -> Guard:
    return Guard("a-door", where, old, new, ("tests/x.py::test_x",))


@pytest.mark.parametrize(
    ("where", "old", "line"),
    [
        ("m:Door.open", 'who != "me"', "        if False:"),
        ("m:other", 'who != "me"', "    if False:"),
        ("m:MOST", "5", "MOST = False"),
    ],
)
def test_one_guard_is_switched_off(where: str, old: str, line: str) -> None:
    """Where the table says, and nowhere else."""
    before, after = SOURCE.splitlines(), switched_off(SOURCE, off(where, old)).splitlines()
    assert [line] == [new for was, new in zip(before, after, strict=True) if new != was]


@pytest.mark.parametrize(
    ("where", "old", "new"),
    [
        ("m:Door.shut", "who", "False"),
        ("m:Gate.open", "who", "False"),
        ("m:Door.open", "is not there", "False"),
        ("m:Door.open", "who", "False"),
        ("m:Door.open", "return True", "return  True"),
    ],
    ids=["no-function", "no-class", "no-text", "text-twice", "no-change"],
)
def test_a_guard_that_is_gone_is_told(where: str, old: str, new: str) -> None:
    """Or it would be believed to be tried."""
    with pytest.raises(Gone):
        switched_off(SOURCE, off(where, old, new))


@pytest.mark.parametrize("where", ["moat.no_such_room:x", "moat.core.ids:no_such_function"])
def test_a_guard_in_no_module_is_told(where: str) -> None:
    """The same, of the real ones."""
    with pytest.raises(Gone):
        check(off(where, "x"))


@pytest.mark.parametrize(
    ("guard", "seen", "right"),
    [
        ("a-door", Seen(failed=["x"]), True),
        ("a-door", Seen(passed=["x"]), False),
        ("a-door", Seen(), False),
        ("a-door", Seen(failed=["x"], other=["y: cannot be collected"]), False),
        ("", Seen(passed=["x"]), True),
        ("", Seen(failed=["x"]), False),
        ("", Seen(passed=["x"], other=["y: is not expected to pass, or skipped"]), False),
    ],
)
def test_only_a_test_that_fails_misses_a_guard(guard: str, seen: Seen, right: bool) -> None:
    """None that passes, is skipped, or cannot even be collected."""
    _, wrong = verdict_on(Result(guard, seen, "", 0.0))
    assert right is (not wrong)


def test_guards_have_names_of_their_own(tmp_path: Path) -> None:
    """One under the name of another would take its place."""
    line = '[a-door]\nin = "m:x"\nold = "a"\noff = "b"\nattacks = ["x"]\n'
    (tmp_path / "one.toml").write_text(line)
    assert ["a-door"] == list(read(tmp_path))
    (tmp_path / "two.toml").write_text(line)
    with pytest.raises(ValueError, match="another guard"):
        read(tmp_path)


def test_a_guard_is_switched_off_by_hand() -> None:
    """With an option of pytest, as the page says."""
    attack = GUARDS["no-scopes"].attacks[0]
    for more, code in ((["--mutate", "no-scopes"], 1), ([], 0)):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutations.plugin", *more, attack],
            cwd=ROOT,
            check=False,
            capture_output=True,
        )
        assert code == done.returncode, done.stdout.decode()
