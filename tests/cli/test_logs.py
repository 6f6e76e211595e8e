"""What a run printed is shown to a terminal without what it could do to one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.cli.commands.logs import tame
from support.cli import Cli

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


def test_a_pipe_gets_every_byte(cli: Cli) -> None:
    """Into a file or pipe the transcript goes as it is: taming is for terminals."""
    script = r"printf '\033]0;title\007out\n'; printf 'err\n' >&2"
    assert 0 == cli.run("run", "--", "sh", "-c", script).returncode
    assert "\x1b]0;title\x07out\nerr\n" == cli.run("logs").stdout
    run = cli.json("list")[0]["run"]
    assert cli.run("logs").stdout == cli.run("logs", run).stdout == cli.run("logs", run[:9]).stdout
