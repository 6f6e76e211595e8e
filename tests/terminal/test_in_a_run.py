"""What a program in a box prints reaches the person's terminal through the filter."""

from __future__ import annotations

import pytest

from moat.terminal.probe import QUESTIONS
from support.cli import Cli
from support.pty import Terminal
from terminal.hostile import HOSTILE, assert_harmless

# Prints what is hostile, then asks where the cursor is and says what it was told.
ASKS = r"""
stty raw -echo; cat hostile; printf 'ab\033[6n'; told=$(head -c 6 | tr -d '\033'); stty sane
echo "told $told"
"""


def without_the_end(seen: bytes) -> bytes:
    """What was shown without what ends a sequence or string, should one have begun."""
    assert 1 == seen.count(b"\x18\x1b\\")
    return seen.replace(b"\x18\x1b\\", b"")


@pytest.mark.attack
def test_nothing_of_it_acts_on_the_persons_terminal(cli: Cli) -> None:
    """And the program is answered all the same, by the supervisor."""
    silent = [each for each in HOSTILE.values() if each[-1:] not in b"nc" and each[-2:] != b"$p"]
    (cli.workspace / "hostile").write_bytes(b"\x1b[2J\x1b[H" + b"".join(silent))
    command = cli.command("run", "--", "sh", "-c", ASKS)
    with Terminal() as terminal, terminal.running(cli, *command) as process:
        assert 0 == terminal.wait(process)
        assert b"told [1;3R" in terminal.seen
        # First the client asks what there is to know, before there is a program.
        assert terminal.seen.startswith(QUESTIONS)
        assert_harmless(without_the_end(terminal.seen.removeprefix(QUESTIONS)))
        assert b"" == terminal.unread()
    assert "abtold [1;3R\n" in cli.run("logs").stdout
    with Terminal() as terminal, terminal.running(cli, *cli.command("replay")) as process:
        assert 0 == terminal.wait(process)
        assert b"told [1;3R" in terminal.seen
        assert_harmless(without_the_end(terminal.seen))
