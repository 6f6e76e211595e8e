"""What a person's terminal is asked before a run has it: so much is known that programs ask for.

Asked by us, and answered while we read: later nobody may ask it. The last question is one that
every terminal answers, so that the end of the answers is known without waiting.
"""

from __future__ import annotations

import re

from moat.terminal.answers import Known

# How keys are told, the colours of text and behind it, where the cursor is, what it is.
QUESTIONS = b"\x1b[?u\x1b]10;?\x1b\\\x1b]11;?\x1b\\\x1b[6n\x1b[c"
_ANSWER = re.compile(
    rb"\x1b\[\?(?P<keyboard>[0-9]{1,4})u"
    rb"|\x1b\](?P<which>1[01]);(?P<colour>rgba?:[0-9a-fA-F]{1,4}(?:/[0-9a-fA-F]{1,4}){2,3})"
    rb"(?:\x07|\x1b\\)"
    rb"|\x1b\[(?P<row>[0-9]{1,4});(?P<column>[0-9]{1,4})R"
    rb"|\x1b\[\?[0-9;]{1,64}(?P<attributes>c)"
)


class Probe:
    """Reads the answers out of what comes from a terminal, between keys that a person may press."""

    def __init__(self) -> None:
        self._read = b""
        self.at: tuple[int, int] | None = None  # row and column of the cursor, from 1
        self.done = False  # all is answered that will be
        self._keyboard = False
        self._colours: dict[bytes, bytes] = {}

    @property
    def known(self) -> Known:
        """What has been found out by now."""
        return Known(self._keyboard, self._colours.get(b"10"), self._colours.get(b"11"))

    def feed(self, data: bytes) -> None:
        """This was read next."""
        self._read = _ANSWER.sub(self._take, self._read + data)

    def _take(self, answer: re.Match[bytes]) -> bytes:
        if answer["keyboard"]:
            self._keyboard = True
        elif answer["colour"]:
            self._colours[answer["which"]] = answer["colour"]
        elif answer["row"]:
            self.at = int(answer["row"]), int(answer["column"])
        else:
            self.done = True
        return b""

    def typed(self) -> bytes:
        """What was read and is no answer: keys that were pressed meanwhile, for the program."""
        typed, self._read = self._read, b""
        return typed
