"""What a run printed is shown to a terminal without what it could do to one."""

from __future__ import annotations

import re
import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.cli.tamed import Plain, Tamer, tame
from moat.ledger.transcript import LOG, Transcript
from support.cli import Cli
from support.pty import Terminal

COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")


@pytest.mark.parametrize(
    "text",
    [
        b"plain text\n\twith tabs\r\n",
        b"\x1b[31mred\x1b[0m \x1b[1;38;5;208mbold\x1b[m \x1b[4:3mwavy\x1b[39;49m",
        "é 日本 🙂 — “quotes”\n".encode(),
        b"10%\r20%\r30%\n",
    ],
)
def test_text_and_colours_stay(text: bytes) -> None:
    """Words, lines, colours and a progress line are what a person wants to see."""
    assert text == tame(text)


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x1b]52;c;cm0gLXJmIH4=\x07",  # the clipboard
        b"\x1b]52;c;cm0gLXJmIH4=\x1b\\",
        b"\x1b]0;title\x07",
        b"\x1b]2;title\x1b\\",
        b"\x1b]8;;https://evil.example\x1b\\",  # a link
        b"\x1b]0;never ended",
        b"\x1b[6n",  # asks for an answer, which is then typed
        b"\x1b[c",
        b"\x1b[>q",
        b"\x1b[?1049h",
        b"\x1b[?2004h",
        b"\x1b[?1000h",
        b"\x1b[>4;2m",  # the keyboard, though it ends in m
        b"\x1b[?1m",
        b"\x1b[2J",
        b"\x1b[H",
        b"\x1b[10A",
        b"\x1b[3g",
        b"\x1bc",
        b"\x1b7",
        b"\x1b(0",
        b"\x1b#8",
        b"\x1bP$qm\x1b\\",
        b"\x1b_Gf=100;AAAA\x1b\\",  # a picture
        b"\x1b^private\x1b\\",
        b"\x1bX string\x1b\\",
        "\x9b6n".encode(),
        "\x9d0;title\x9c".encode(),
        "\x90$qm\x9c".encode(),
        b"\x9b6n",
        b"\x08\x08\x08",
        b"\x07",
        b"\x0e",
        b"\x7f",
        b"\x05",
        b"\x1b",
    ],
)
def test_what_acts_on_the_terminal_goes(hostile: bytes) -> None:
    """Nothing is moved, retitled, pasted, linked, switched or asked; the text around stays."""
    tamed = tame(b"before " + hostile)
    assert tamed.startswith(b"before ")
    assert b"\x1b" not in tamed
    assert not re.search("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f]", tamed.decode())
    if not hostile.endswith(b"ended"):
        assert tame(b"before " + hostile + b"\n after").endswith(b"\n after")


def test_what_ends_does_not_swallow_the_rest() -> None:
    """A title goes, the line after it stays; one that never ends goes up to the next escape."""
    assert b"ab" == tame(b"a\x1b]0;title\x07b")
    assert b"a\x1b[31mb" == tame(b"a\x1b]0;title\x1b[31mb")


@given(
    st.lists(
        st.sampled_from(
            [b"\x1b", b"[", b"]", b"P", b"31", b";", b"m", b"52;c", b"\x07", b"\\", b"?", b"n",
             b"\x9b", b"\xc2", b"\xc2\x9b", b"\x00", b" ", b"a", b"\xff", b"\n", b"\x18", b"\x9c"]
        ),
        max_size=30,
    )
)  # fmt: skip
def test_no_pieces_make_a_command(pieces: list[bytes]) -> None:
    """However pieces fall together, and after taming twice: the only escapes left are colours."""
    tamed = tame(b"".join(pieces))
    assert b"\x1b" not in COLOUR.sub(b"", tamed)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]", tamed.decode())
    assert tamed == tame(tamed)


@given(st.lists(st.integers(0, 200), max_size=6))
def test_pieces_are_tamed_like_the_whole(places: list[int]) -> None:
    """However they are cut, also within sequences and characters."""
    text = "a\x1b[31mé\x1b[m\x1b]0;t\x07日\x1b[6n\r\nb\r\r\n\x9b6nc".encode()
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    tamer, plain = Tamer(), Plain()
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert "a\x1b[31mé\x1b[m日\r\nb\r\r\n6nc".encode() == b"".join(map(tamer.feed, pieces))
    assert "aé日\nb\n6nc".encode() == b"".join(map(plain.feed, pieces))


def test_a_pipe_gets_every_byte(cli: Cli) -> None:
    """Into a file or pipe the transcript of pipes goes as it is: taming is for terminals."""
    script = r"printf '\033]0;title\007out\n'; printf 'err\n' >&2"
    assert 0 == cli.run("run", "--", "sh", "-c", script).returncode
    assert "\x1b]0;title\x07out\nerr\n" == cli.run("logs").stdout
    run = cli.json("list")[0]["run"]
    assert cli.run("logs").stdout == cli.run("logs", run).stdout == cli.run("logs", run[:9]).stdout


def ended_run(cli: Cli) -> Path:
    """The directory of a run that has ended."""
    assert 0 == cli.run("run", "--", "printf", "one\\ntwo\\nthree\\nrest").returncode
    return cli.home / "runs" / cli.json("list", "--all")[0]["run"]


def at_a_terminal(run: Path, *pieces: bytes) -> None:
    """Let it be one that had a terminal, and printed these."""
    (run / LOG).unlink()
    transcript = Transcript(run, terminal=(24, 80), title="a run")
    for piece in pieces:
        transcript.write(piece)
    transcript.close()


def test_the_last_lines_and_since(cli: Cli) -> None:
    """Tail means tail; what is no number or time is told."""
    ended_run(cli)
    assert "one\ntwo\nthree\nrest" == cli.run("logs").stdout
    assert "three\nrest" == cli.run("logs", "-n", "2").stdout
    assert "" == cli.run("logs", "-n", "0").stdout
    assert "rest" == cli.run("logs", "-n", "1", "--since", "10m").stdout
    assert "one\ntwo\nthree\nrest" == cli.run("logs", "--since", "2020-01-01T10:00").stdout
    assert "" == cli.run("logs", "--since", "2920-01-01").stdout
    for wrong in (("-n", "-1"), ("-n", "x"), ("--since", "soon"), ("--since", "2020-13-01")):
        done = cli.run("logs", *wrong)
        assert (2, "") == (done.returncode, done.stdout)
        assert "hint: " in done.stderr


def test_of_a_terminal_a_pipe_gets_the_text_alone(cli: Cli) -> None:
    """Its lines ended as in a file."""
    run = ended_run(cli)
    at_a_terminal(
        run, b"\x1b[?2004h\x1b[31mone\x1b[m\r\ntw", b"o\r", b"\nthr\xe2\x82", b"\xac\x1b]0;t\x07"
    )
    assert "one\ntwo\nthr€" == cli.run("logs").stdout
    assert "thr€" == cli.run("logs", "-n", "1").stdout


@pytest.mark.attack
@pytest.mark.parametrize("had_terminal", [True, False])
def test_a_terminal_gets_nothing_that_acts(cli: Cli, had_terminal: bool) -> None:
    """Colours stay, questions and clipboards do not: nothing is typed to the shell."""
    run = ended_run(cli)
    hostile = b"\x1b[31mred\x1b[m \x1b]52;c;aGk=\x07\x1b[6n\x1b[c\x1b[?1049h last"
    if had_terminal:
        at_a_terminal(run, *(hostile[i : i + 1] for i in range(len(hostile))))
    else:
        (run / LOG).write_bytes(hostile)
    with Terminal() as terminal, terminal.running(cli, *cli.command("logs")) as process:
        assert 0 == terminal.wait(process)
        assert b"\x1b[31mred\x1b[m  last" == terminal.seen


def test_it_goes_on_until_the_run_has_ended(cli: Cli) -> None:
    """And shows what is printed as it comes, a last line without its end as well."""
    script = "echo one; echo two; until [ -e go ]; do sleep 0.05; done; echo three; printf four"
    running = subprocess.Popen(
        cli.command("run", "--", "sh", "-c", script),
        env=cli.environ(),
        cwd=cli.workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    with running:
        assert running.stdout is not None
        assert b"one\n" == running.stdout.readline()
        assert b"two\n" == running.stdout.readline()
        follow = cli.command("logs", "-f", "-n", "1")
        pipes = {"env": cli.environ(), "cwd": cli.workspace, "stdout": subprocess.PIPE}
        with subprocess.Popen(follow, **pipes) as following:
            assert following.stdout is not None
            assert b"two\n" == following.stdout.readline()
            with subprocess.Popen(follow, **pipes, stderr=subprocess.PIPE) as stopped:
                assert stopped.stdout is not None
                stopped.stdout.readline()
                stopped.send_signal(signal.SIGINT)
                assert (b"", b"") == stopped.communicate(timeout=30)
                assert 0 == stopped.returncode
            (cli.workspace / "go").touch()
            assert b"three\nfour" == following.communicate(timeout=60)[0]
            assert 0 == following.returncode
    assert 0 == running.returncode


def test_only_what_is_new(cli: Cli) -> None:
    """With 0 lines, of a run that has ended, there is none."""
    ended_run(cli)
    assert "" == cli.run("logs", "-f", "-n", "0").stdout


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_return_at_the_beginning_of_a_line_is_none(size: int) -> None:
    """Shells write one before what a command prints; within a line it stays."""
    shown = b"$ echo typed\r\n\x1b[?2004l\rtyped\r\n10%\r20%\r\n"
    plain = Plain()
    pieces = (shown[at : at + size] for at in range(0, len(shown), size))
    assert b"$ echo typed\ntyped\n10%\r20%\n" == b"".join(map(plain.feed, pieces))
