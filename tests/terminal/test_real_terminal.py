"""Under a real terminal: what is restored looks as what was printed, and nothing is answered."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from moat.terminal.box_terminal import BoxTerminal
from moat.terminal.style import PLAIN, Style, restyled
from support.pty import Terminal
from support.tmux import Tmux, modes_left
from terminal.hostile import HOSTILE

HERE = Path(__file__).parent
ROWS, COLUMNS = 24, 80
TEXT = "\n".join(f"line {n}: def function_{n}(): return '日本 {n}'  # é" for n in range(200)) + "\n"
VIM = ["vim", "-u", "NONE", "-N", "-i", "NONE", "-n", "text.py"]
# What is run, and what is typed when a text has come; the last text says that all is drawn.
PROGRAMS: dict[str, tuple[list[str], list[tuple[bytes, bytes]], bytes]] = {
    "vim": (
        VIM,
        [
            (b"line 5", b":syntax on | set number hlsearch mouse=a title\r"),
            (b"  5 ", b":split\r20G/function_2\rOnew text\x1b:echo 'rea' . 'dy'\r"),
        ],
        b"ready",
    ),
    "vim that has ended": ([*VIM, "-c", "qa!"], [], b""),
    "less": (["less", "-R", "text.py"], [(b"line 5", b"  /function_50\r")], b"function_60"),
    "curses": ([sys.executable, str(HERE / "drawing.py")], [], b"drawn"),
    "a shell": (
        ["sh", "-c", "ls --color=always -la /; printf '\\033[1;32m%s\\033[m' $ ; sleep 60"],
        [],
        b"\x1b[1;32m$",
    ),
}
DRAWN = {
    "colours": b"".join(
        b"\x1b[%dm%d\x1b[0m \x1b[38;5;%dm#\x1b[48;2;%d;9;200m#\x1b[0m " % (n, n, n * 5, n * 5)
        for n in range(30, 48)
    ),
    "styles": b"".join(b"\x1b[%dm%d\x1b[m\r\n" % (n, n) for n in (1, 2, 3, 4, 5, 7, 8, 9, 53)),
    "wavy": b"\x1b[4:3mwavy\x1b[4:4;58:5:9mdotted\x1b[m",
    "erased in colour": b"text\x1b[44m\x1b[K\x1b[3;5H\x1b[42m\x1b[5X\x1b[6;1H\x1b[41m\x1b[J\x1b[H",
    "scrolled": b"".join(b"line %d\r\n" % n for n in range(60)) + b"\x1b[4A",
    "a part that scrolls": b"\x1b[5;10r\x1b[5;1H" + b"".join(b"line %d\r\n" % n for n in range(30)),
    "counted from there": b"\x1b[5;10r\x1b[?6h\x1b[2;3Hhere",
    "wide at the edge": b"x" * 79 + "日本".encode() + b"\x1b[3;80H" + "é".encode(),
    "the edge": b"\x1b[5;70H\x1b[33m0123456789",
    "half of a wide one": "日本語日本語\x1b[1;4Hx\x1b[1;7H\x1b[K".encode(),
    "two screens": b"shell$ \x1b[31m\x1b[?1049h\x1b[?1h\x1b=\x1b[9;9Happ\x1b[?1002;1006h\x1b[?25l",
    "back from the other": b"shell$ \x1b[31m\x1b[?1049h\x1b[10;10Happ\x1b[?1049lred",
    "lines moved": b"".join(b"%d\r\n" % n for n in range(20)) + b"\x1b[5;1H\x1b[3L\x1b[9;1H\x1b[2M",
    "cells moved": b"abcdefghijk\x1b[1;3H\x1b[3@\x1b[1;9H\x1b[2P\x1b[4hxy\x1b[4l",
    "repeated": b"-\x1b[30b\r\n\x1b#8\x1b[5;5H\x1b[2J",
    "tabs": b"a\tb\tc\r\n\x1b[3g\x1b[1;5H\x1bH\x1b[2;1H\tx",
    "a title": b"\x1b]0;what it does\x07text",
    "inserting, unwrapped, dark": b"\x1b[?7l\x1b[2;75Hbeyond the edge\x1b[4h",
}  # fmt: skip


def record(
    place: Path, argv: Sequence[str], typed: list[tuple[bytes, bytes]], last: bytes
) -> bytes:
    """What a program prints on a terminal of ours, up to where it has drawn everything."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(place)
        environ = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        os.execvpe(argv[0], argv, {**environ, "HOME": str(place), "LESSHISTFILE": "-"})
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    answering = BoxTerminal(ROWS, COLUMNS)
    printed, seen, steps = b"", 0, [*typed, (last, b"")]
    end = time.monotonic() + 30
    try:
        while True:
            # Until it has said the last, and nothing more for a while; or has ended.
            if not select.select([master], [], [], 0.5 if not steps else 30)[0]:
                break
            try:
                data = os.read(master, 4096)
            except OSError:
                break
            assert time.monotonic() < end, printed
            printed += data
            if answer := answering.feed(data).answer:
                os.write(master, answer)
            if steps and steps[0][0] and steps[0][0] in printed[seen:]:
                os.write(master, steps.pop(0)[1])
                seen = len(printed)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)
    assert not steps or not last, (steps, printed)
    return printed


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "screen", "HOME": "/"}
    with Tmux(
        (COLUMNS, ROWS), cwd=tmp_path, environ=environ, recording=tmp_path / "written"
    ) as running:
        yield running


def shown(tmux: Tmux, place: Path, cases: list[bytes]) -> Iterator[tuple[object, ...]]:
    """How each case looks: the screen with its colours, the modes, the cursor, the title."""
    file = place / "cases"
    file.write_text(json.dumps([case.decode("latin-1") for case in cases]))
    tmux.type(f"exec {sys.executable} -P {HERE / 'showing.py'} {file}")
    tmux.press("Enter")
    for number in range(len(cases)):
        end = time.monotonic() + 30
        while not file.with_suffix(f".{number}").exists():
            assert time.monotonic() < end, tmux.screen()
            time.sleep(0.02)
        yield _looks(tmux.styled()), tmux.flags(), tmux.cursor(), tmux.title()
        tmux.press("Enter")


def _looks(rows: list[str]) -> list[list[tuple[str, Style]]]:
    """Each character with its style. Of letters that stand for lines, the lines."""
    style, lines, cells = PLAIN, False, []
    for row in rows:
        cells.append([])
        for found in re.finditer(r"\x1b\[([\d;:]*)m|([\x0e\x0f])|(.)", row):
            if found[1] is not None:
                style = restyled(style, found[1].encode())
            elif found[2]:
                lines = found[2] == "\x0e"
            else:
                cells[-1].append((found[3].translate(_LINES) if lines else found[3], style))
        while cells[-1] and cells[-1][-1] == (" ", PLAIN):
            cells[-1].pop()
    return cells


_LINES = str.maketrans("lkmjqxtuvwn", "┌┐└┘─│├┤┴┬┼")


def restored(printed: bytes) -> bytes:
    terminal = BoxTerminal(ROWS, COLUMNS)
    for at in range(0, len(printed), 1000):
        terminal.feed(printed[at : at + 1000])
    return terminal.restore()


def test_what_programs_draw_is_restored(tmux: Tmux, tmp_path: Path) -> None:
    """Of real ones: the same rows, colours, cursor, modes and title as with all they printed."""
    (tmp_path / "text.py").write_text(TEXT)
    printed = {
        name: record(tmp_path, *program)
        for name, program in PROGRAMS.items()
        if shutil.which(program[0][0])
    }
    assert printed
    _same(tmux, tmp_path, printed)


def test_what_is_printed_is_restored(tmux: Tmux, tmp_path: Path) -> None:
    """Case by case, each of what a terminal can do."""
    _same(tmux, tmp_path, DRAWN)


def _same(tmux: Tmux, place: Path, printed: dict[str, bytes]) -> None:
    cases = [case for text in printed.values() for case in (text, restored(text))]
    looks = shown(tmux, place, cases)
    for name in printed:
        original, again = next(looks), next(looks)
        assert original == again, name


def test_it_is_undone(tmp_path: Path) -> None:
    """What a program that was killed had switched on is switched off, after a restore as well."""
    (tmp_path / "text.py").write_text(TEXT)
    vim, typed, last = PROGRAMS["vim"]
    if shutil.which("vim") is None:
        pytest.skip("vim is not installed")
    printed = record(tmp_path, vim, typed, last)
    terminal = BoxTerminal(ROWS, COLUMNS)
    heard = terminal.feed(printed)
    assert modes_left(heard.shown)
    assert set() == modes_left(heard.shown + terminal.undo())
    assert set() == modes_left(terminal.restore() + terminal.undo())


@pytest.mark.attack
def test_a_real_terminal_answers_nothing(tmux: Tmux, tmp_path: Path) -> None:
    """Of all that is hostile; without the filter it does, so the test would notice."""
    hostile = b"".join(HOSTILE.values())
    kept = BoxTerminal(ROWS, COLUMNS).feed(hostile).shown
    assert 2 == len(list(shown(tmux, tmp_path, [b"\x1b[6n\x1b[c", kept])))
    assert b"" != (tmp_path / "cases.0").read_bytes()
    assert b"" == (tmp_path / "cases.1").read_bytes()


@pytest.mark.attack
def test_a_clipboard_stays_as_it_is(tmux: Tmux, tmp_path: Path) -> None:
    """tmux keeps one for its programs, where they may set it; it is told by what it holds."""
    tmux.option("set-clipboard", "on")
    clipboard = b"\x1b]52;c;aG9zdGlsZQ==\x07"  # "hostile"
    looks = shown(tmux, tmp_path, [BoxTerminal(ROWS, COLUMNS).feed(clipboard).shown, clipboard])
    next(looks)
    assert "hostile" not in tmux.buffers()
    next(looks)
    assert "hostile" in tmux.buffers()


@pytest.mark.attack
def test_nothing_is_left_to_be_read(tmp_path: Path) -> None:
    """On a plain terminal of the kernel: what comes out is what was let through."""
    with Terminal() as terminal:
        os.write(terminal.slave, BoxTerminal(ROWS, COLUMNS).feed(b"a\x1b]52;c;aGk=\x07b").shown)
        terminal.wait_for(b"ab")
        assert b"ab" == terminal.seen
