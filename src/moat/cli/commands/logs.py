"""`moat logs`: what a run printed."""

from __future__ import annotations

import os
import re
import sys

from moat.cli.options import Parser, find_home
from moat.run.record import RunDirectory, find_run

# Colours may reach the person's terminal; what would move, retitle, paste or answer may not.
_ESCAPES = re.compile(
    r"(\x1b\[[0-9;:]*m)"
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]"
)


def main(arguments: list[str]) -> int:
    """Print the transcript."""
    parser = Parser("logs", "Show what a run printed, both output and errors.")
    parser.add_argument("run", nargs="?", metavar="RUN", help="id or its beginning (the latest)")
    args = parser.parse_args(arguments)
    runs = find_home().runs
    file = RunDirectory(runs, find_run(runs, args.run).run).transcript
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return 0
    if os.isatty(1):
        content = tame(content)
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
    return 0


def tame(content: bytes) -> bytes:
    """The text without what a hostile program could do to a terminal; colours stay.

    Judged as characters: encoded in UTF-8, too, the controls from 0x80 to 0x9f are obeyed.
    """
    text = content.decode(errors="replace")
    return _ESCAPES.sub(lambda match: match[1] or "", text).encode()
