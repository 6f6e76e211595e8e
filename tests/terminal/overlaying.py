"""Plays programs and questions over them at this terminal, as the JSON file CASES says.

A case is what a program writes, the lines of a question (none: no question), and what the
program writes then. Each step waits for Enter: to begin, to end the question, to end the case.
"""

import json
import sys
import termios
import tty
from pathlib import Path

from moat.terminal.overlay import Overlay

modes = termios.tcgetattr(0)
tty.setraw(0)
out = sys.stdout.buffer


def write(data):
    out.write(data)
    out.flush()


for before, question, after in json.loads(Path(sys.argv[1]).read_text()):
    write(b"\x18\x1b\\\x1bcnext")
    sys.stdin.read(1)
    write(b"\x1bc")
    overlay = Overlay()
    overlay.feed(before.encode("latin-1"))
    write(before.encode("latin-1"))
    if question:
        write(overlay.begin() + overlay.draw(question))
        sys.stdin.read(1)
        write(overlay.end())
    overlay.feed(after.encode("latin-1"))
    write(after.encode("latin-1"))
    sys.stdin.read(1)
    write(overlay.modes.undo())
termios.tcsetattr(0, termios.TCSADRAIN, modes)
