"""What Moat says is a line, whatever it quotes."""

from __future__ import annotations

import pytest

from moat.cli.output import say, show_error, show_lines, warn
from moat.errors import MoatError

QUOTED = "a\nmoat: all is well\r\x1b[2J\u2028\x85b"


def test_nothing_that_is_quoted_begins_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor erases one; on either stream."""
    say(QUOTED)
    warn(QUOTED)
    show_error(MoatError(QUOTED, hint=QUOTED))
    show_lines([QUOTED])
    said = capsys.readouterr()
    for text, lines in ((said.err, 4), (said.out, 1)):
        assert lines == text.count("\n") == len(text.splitlines())
        assert all(line.isprintable() for line in text.split("\n"))
    assert "a\\nmoat: all is well\\x0d\\x1b[2J\\u{2028}\\x85b\n" == said.out
