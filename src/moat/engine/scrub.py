"""Taking secrets out of an answer that repeats them, as the answer streams by.

Every byte of a secret becomes a star, so no length changes: not that of a body, nor of a frame.
Held back is only what may be the beginning of a secret, and only until that is known.
"""

from __future__ import annotations

from moat.engine.escapes import CONTEXT, IN_A_LINE
from moat.engine.spellings import Spans, Spellings

_STAR = b"*"


class Scrubber:
    """Takes secrets out of one stream of bytes: a Transform. `found` counts them."""

    __slots__ = ("_covered", "_gone", "_kept", "_spellings", "found")

    def __init__(self, spellings: Spellings) -> None:
        self._spellings = spellings
        # What is not over yet: bytes that have gone on but tell what the next ones mean, then
        # bytes that have not. Of these, the first `_covered` belong to a secret.
        self._kept = b""
        self._gone = 0
        self._covered = 0
        self.found = 0

    def feed(self, data: bytes) -> bytes:
        """What can go on of the stream so far, these bytes being the next of it."""
        if not data:
            return b""
        known, gone = len(self._kept), self._gone
        text = self._kept + data if known else data
        spans = self._spellings.spans(text)
        cut = len(text)
        if undecided := self._spellings.undecided(text):
            cut = max(gone, cut - undecided)
        if spans or self._covered:
            self.found += len([end for _, end in spans if end > known])
            spans |= {(gone, gone + self._covered)}
            # What lies within the rest altogether is found there again.
            ends = [end for start, end in spans if start < cut or start == gone]
            self._covered = max(0, max(ends) - cut)
        start = max(0, cut - CONTEXT) if cut and text[cut - 1] in IN_A_LINE else cut
        self._kept, self._gone = text[start:], cut - start
        if spans:
            text = _starred(text, spans)
        return text[gone:cut]

    def finish(self) -> bytes:
        """What was held back, once nothing comes any more."""
        text, gone = self._kept, self._gone
        if len(text) > gone:
            spans = self._spellings.spans(text) | {(gone, gone + self._covered)}
            text = _starred(text, spans)
        self._kept, self._gone, self._covered = b"", 0, 0
        return text[gone:]


def scrubbed(text: bytes, spellings: Spellings) -> bytes:
    """A text that stands by itself, such as the value of a header, without its secrets."""
    spans = spellings.spans(text)
    return _starred(text, spans) if spans else text


def _starred(text: bytes, spans: Spans) -> bytes:
    starred = bytearray(text)
    for start, end in spans:
        starred[start:end] = _STAR * (end - start)
    return bytes(starred)
