"""What the command line was started on."""

from __future__ import annotations

import os
import stat


def at_a_terminal() -> bool:
    """Whether a person sits at both ends: their keys come in, their screen shows what goes out."""
    return os.isatty(0) and os.isatty(1) and in_the_foreground()


def in_the_foreground() -> bool:
    """Whether the terminal is ours now: started with `&`, whoever reads it is stopped."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def stdin_is_piped() -> bool:
    """Whether something was piped into standard input, or a file given as it."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)
