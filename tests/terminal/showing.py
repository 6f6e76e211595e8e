"""Shows at this terminal what the JSON file CASES says, one case after the other.

When all of a case is on the screen, the file CASES.N is there; then Enter is waited for.
"""

import json
import os
import sys
import termios
import tty
from pathlib import Path

cases = Path(sys.argv[1])
modes = termios.tcgetattr(0)
tty.setraw(0)
for number, case in enumerate(json.loads(cases.read_text())):
    # The terminal as it was; and a question, so that its answer says that it has seen all.
    blank = b"\x18\x1b\\\x1b[r\x1b[?6l\x1b[?1049l\x1b[<64u\x1b[>4;0m\x1bc\x1b]2;\x07"
    shown = blank + case.encode("latin-1")
    while shown:
        shown = shown[os.write(1, shown) :]
    os.write(1, b"\x1b[5n")
    seen = b""
    while b"\x1b[0n" not in seen:
        seen += os.read(0, 1000)
    cases.with_suffix(f".{number}").write_bytes(seen.replace(b"\x1b[0n", b"", 1))
    while b"\r" not in os.read(0, 1000):
        pass
termios.tcsetattr(0, termios.TCSADRAIN, modes)
