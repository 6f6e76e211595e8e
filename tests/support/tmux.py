"""A person's terminal as tmux draws it: what is on the screen now, and keys as they are pressed."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

import pytest

# What a terminal is in that nobody has changed anything of, as far as tmux tells.
_FLAGS = (
    "alternate_on",
    "cursor_flag",
    "insert_flag",
    "keypad_cursor_flag",
    "keypad_flag",
    "mouse_any_flag",
    "mouse_button_flag",
    "mouse_sgr_flag",
    "mouse_standard_flag",
    "mouse_utf8_flag",
    "origin_flag",
    "wrap_flag",
)
_MODE = re.compile(rb"\x1b\[\?([\d;]+)([hl])")
_KEYBOARD = re.compile(rb"\x1b\[([<>])\d*u")
_OTHER_KEYS = re.compile(rb"\x1b\[>4(?:;(\d+))?[mn]")
_CURSOR_SHAPE = re.compile(rb"\x1b\[(\d*) q")
# Shown cursor and wrapped lines: the modes that are on where nobody has changed anything.
_ON = frozenset({b"25", b"7"})


def modes_left(written: bytes) -> set[str]:
    """The modes of a terminal that are not as they were, after all this was written to it."""
    last = {
        mode: how for modes, how in _MODE.findall(written) for mode in modes.split(b";") if mode
    }
    left = {f"mode {mode.decode()}" for mode, how in last.items() if (how == b"h") != (mode in _ON)}
    if sum(1 if how == b">" else -1 for how in _KEYBOARD.findall(written)) > 0:
        left.add("keyboard")
    if any(level not in (b"", b"0") for level in _OTHER_KEYS.findall(written)[-1:]):
        left.add("other keys")
    if any(shape not in (b"", b"0") for shape in _CURSOR_SHAPE.findall(written)[-1:]):
        left.add("cursor shape")
    return left


class Tmux:
    """A tmux server of its own with one pane, in which a shell runs."""

    def __init__(
        self,
        size: tuple[int, int],
        *,
        cwd: Path,
        environ: Mapping[str, str],
        recording: Path,
    ) -> None:
        program = shutil.which("tmux")
        if program is None:
            pytest.skip("tmux is not installed")
        # Not below the test's own directory: the path of a socket has to be short.
        self._place = Path(tempfile.mkdtemp(prefix="moat-tmux-"))
        self._command = [program, "-u", "-S", str(self._place / "socket"), "-f", "/dev/null"]
        self._columns, self._rows = size
        self._cwd = cwd
        self._environ = {**environ, "PS1": "$ ", "ENV": ""}
        self._recording = recording

    def __enter__(self) -> Tmux:
        size = ("-x", str(self._columns), "-y", str(self._rows))
        try:
            self._tmux("new-session", "-d", *size, "-c", str(self._cwd), "sh")
            self._tmux("pipe-pane", f"exec cat > {shlex.quote(str(self._recording))}")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        # There is no server any more when its shell has ended.
        subprocess.run([*self._command, "kill-server"], capture_output=True, timeout=30)
        shutil.rmtree(self._place)

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environ,
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=True,
        )
        return done.stdout

    @property
    def written(self) -> bytes:
        """All that was ever written to the terminal, as it was written."""
        return self._recording.read_bytes()

    def screen(self) -> list[str]:
        """The rows of the screen as they are now, without what is blank at their ends."""
        rows = self._tmux("capture-pane", "-p").split("\n")[: self._rows]
        return [row.rstrip() for row in rows]

    def styled(self) -> list[str]:
        """The rows of the screen with what makes colours, styles and other alphabets."""
        rows = self._tmux("capture-pane", "-p", "-e").split("\n")[: self._rows]
        return [row.rstrip() for row in rows]

    def history(self) -> list[str]:
        """The rows that have scrolled by, and those of the screen."""
        return self._tmux("capture-pane", "-p", "-S", "-").split("\n")

    def flags(self) -> dict[str, str]:
        """What tmux knows of the terminal's modes."""
        names = " ".join(f"#{{{name}}}" for name in _FLAGS)
        values = self._tmux("display-message", "-p", names).split()
        return dict(zip(_FLAGS, values, strict=True))

    def cursor(self) -> str:
        """Where the cursor is: column and row."""
        return self._tmux("display-message", "-p", "#{cursor_x} #{cursor_y}")

    def title(self) -> str:
        """The title that a program has given its window."""
        return self._tmux("display-message", "-p", "#{pane_title}")

    def option(self, name: str, value: str) -> None:
        """Set an option of the server."""
        self._tmux("set-option", "-s", name, value)

    def buffers(self) -> str:
        """What was copied, beginnings of it."""
        return self._tmux("list-buffers")

    def type(self, text: str) -> None:
        """Type a text, all of it visible characters."""
        self._tmux("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys, by the names tmux has for them."""
        self._tmux("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        """Drag the corner of the window."""
        self._columns, self._rows = columns, rows
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait_for(self, *texts: str, seconds: float = 60) -> list[str]:
        """Look at the screen until all of these are on it, each within a row; the screen."""
        end = time.monotonic() + seconds
        while not _shows(screen := self.screen(), texts):
            assert time.monotonic() < end, "\n".join([f"{texts} did not come:", *screen])
            time.sleep(0.05)
        return screen


def _shows(screen: Iterable[str], texts: Iterable[str]) -> bool:
    rows = list(screen)
    return all(any(text in row for row in rows) for text in texts)
