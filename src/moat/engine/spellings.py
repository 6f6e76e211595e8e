"""How secrets are spelled where a server quotes a request in its answer.

Looked for is each secret as it is, in hexadecimal, and in base64 (at each of the three places a
text can begin in it, so also within a longer one; both alphabets), and all of these also where
any of their characters are escaped, as in URLs (`%73`), JSON and JavaScript (`\\u0073`, `\\x73`,
`\\/`) or HTML (`&#115;`, `&#x73;`, `&amp;`), or where base64 is broken into lines. Of characters
beyond ASCII, what is found is their UTF-8, and what JSON makes of them.

What else a server does to a secret, say reverse, cut or encrypt it, is not found: it was given the
secret, and who is set on giving it away needs no answer for that.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import product

from moat.core.secret import Secret
from moat.engine import escapes

SHORTEST = 8
"""Bytes. A shorter secret is not looked for: it would be found in what it has no part in."""

Spans = frozenset[tuple[int, int]]
_NONE: Spans = frozenset()
_LF = ord("\n")
# So many certain digits are not met by chance.
_ENOUGH_DIGITS = 12


class Spellings:
    """Some secrets, as they may stand in an answer."""

    def __init__(self, secrets: Iterable[str]) -> None:
        texts = [text for text in secrets if len(_encoded(text)) >= SHORTEST]
        needles = {needle for text in texts for needle in _needles(text)}
        self._needles = tuple([needle for needle in needles if len(needle) >= SHORTEST])
        # Encoders leave letters and digits alone, or there is a sign of it: so wherever a needle
        # stands, a run of these in it does.
        self._pieces = tuple({_piece(needle) for needle in self._needles})
        # Of these the beginning may be lost to what only looks like an escape.
        self._cores = tuple({_longest_run(one)[escapes.LONGEST :] for one in self._needles})
        self._letters = bytes({*escapes.LETTERS, *b"".join(self._needles)})
        self._in_words = _zero_but(self._letters)
        self._in_lines = _zero_but(self._letters + b"\r\n")
        self._longest = max(map(len, self._needles), default=0)
        self._reach = self._longest * escapes.LONGEST + escapes.CONTEXT
        self._beginning_with: dict[int, list[bytes]] = {}
        for needle in self._needles:
            self._beginning_with.setdefault(needle[0], []).append(needle)
        first = b"".join([re.escape(bytes((byte,))) for byte in self._beginning_with])
        self._first = re.compile(b"[%b]" % first if first else b"(?!)")

    @staticmethod
    def of(secrets: Iterable[Secret]) -> Spellings:
        """Those of these secrets; the same secrets get the same ones again."""
        return _remembered(tuple([secret.reveal() for secret in secrets]))

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._needles)

    def may_stand_in(self, text: bytes) -> bool:
        """False where no secret is; quick, for this is the answer nearly always."""
        find = text.find
        for piece in self._pieces:
            # Slower would be `in`: it first tries to take the piece for a number.
            if find(piece) >= 0:
                return True
        return escapes.shows_sign(text)

    def spans(self, text: bytes) -> Spans:
        """Where secrets stand: from, to. They may overlap."""
        if not self.may_stand_in(text):
            return _NONE
        return frozenset(
            [
                (start + offset, end + offset)
                for offset, part in self._suspicious(text)
                for start, end in (*self._spans_in(part), *self._escaped_spans_in(part))
            ]
        )

    def undecided(self, text: bytes) -> int:
        """How many bytes at the end may be the beginning of a secret; what comes next will tell."""
        if not text or text[-1] not in self._letters:
            if text[-1:] not in (b"\r", b"\n"):
                return 0
            if not escapes.BROKEN_AT_THE_END.search(text[-escapes.CONTEXT - 2 :]):
                return 0
        tail = text[-self._reach :]
        broken = tail[-1] in b"\r\n" or (_LF in tail and escapes.BROKEN.search(tail))
        word = tail[tail.translate(self._in_lines if broken else self._in_words).rfind(0) + 1 :]
        begun = self._begun(word)
        if broken or escapes.is_introduced(word):
            begun = max(begun, self._begun_escaped(word))
        return begun

    def _suspicious(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        """The parts that hold signs of a secret, with as much on either side as one can take."""
        places = {at for piece in self._pieces for at in _places(text, piece)}
        places.update(escapes.signs(text))
        start = end = 0
        for at in sorted(places):
            if end and at - self._reach > end:
                yield start, text[start:end]
                end = 0
            start = start if end else max(0, at - self._reach)
            end = at + self._reach
        yield start, text[start:end]

    def _spans_in(self, text: bytes) -> Iterator[tuple[int, int]]:
        for needle in self._needles:
            for at in _places(text, needle):
                yield at, at + len(needle)

    def _escaped_spans_in(self, text: bytes) -> Iterator[tuple[int, int]]:
        plain = escapes.undo(text)
        if plain == text or not any(plain.find(core) >= 0 for core in self._cores):
            return
        undone = escapes.Undone(text)
        for needle in self._needles:
            for at in _places(undone.plain, needle):
                yield undone.starts[at], undone.end(at + len(needle) - 1)
        for at, needle, size, after in self._begun_within(text, undone):
            rest = len(needle) - size
            if undone.plain[after : after + rest] == needle[size:]:
                yield at, undone.end(after + rest - 1)

    def _begun(self, text: bytes) -> int:
        """The length of the longest end that is the beginning of a needle, and not all of it."""
        end = len(text)
        for match in self._first.finditer(text, max(0, end - self._longest + 1)):
            start = match.start()
            for needle in self._beginning_with[text[start]]:
                if len(needle) > end - start and needle.startswith(text[start:]):
                    return end - start
        return 0

    def _begun_escaped(self, text: bytes) -> int:
        unfinished = escapes.UNFINISHED.search(text)
        whole = unfinished.start() if unfinished else len(text)
        undone = escapes.Undone(text[:whole])
        begun = self._begun(undone.plain)
        starts = [undone.starts[len(undone.plain) - begun] if begun else whole]
        for at, needle, size, after in self._begun_within(text, undone):
            rest = undone.plain[after:]
            if len(rest) < len(needle) - size and needle.startswith(rest, size):
                starts.append(at)
        return len(text) - min(starts)

    def _begun_within(
        self, text: bytes, undone: escapes.Undone
    ) -> Iterator[tuple[int, bytes, int, int]]:
        """Where a needle may begin in what looks like an escape, as the 0 in `%70`: the place, the
        needle, how much of it stands there, and where in the plain text the rest has to be."""
        for start, end, after in undone.escapes:
            for at in range(start + 1, end):
                for needle in self._beginning_with.get(text[at], ()):
                    if needle.startswith(text[at:end]):
                        yield at, needle, end - at, after


def _zero_but(letters: bytes) -> bytes:
    """A table for `translate` that makes zeros of all other bytes."""
    return bytes([byte in letters for byte in range(256)])


# The names of the entries are our own secrets, and nobody else can ask for one.
@lru_cache(maxsize=64)
def _remembered(texts: tuple[str, ...]) -> Spellings:
    return Spellings(texts)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _needles(text: str) -> Iterator[bytes]:
    raw = _encoded(text)
    json_texts = (json.dumps(text), json.dumps(text, ensure_ascii=False))
    in_json = [_encoded(written[1:-1]) for written in json_texts]
    for form in (raw, raw.replace(b" ", b"+"), *in_json):
        yield from _undone(form)
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw)
        # A character stands for six bits: those that share any with a neighbour are left out.
        sure = encoded[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
        yield sure
        yield sure.translate(bytes.maketrans(b"+/", b"-_"))


def _undone(text: bytes) -> Iterator[bytes]:
    """A text, and where it looks like it holds escapes, what is left of it once those of any kinds
    are undone: for what was written by a server is undone with what is in the secret itself."""
    yield text
    if escapes.holds_any(text):
        for kinds in product((b"", b"%"), (b"", b"\\"), (b"", b"&"), (b"", b"\r\n")):
            yield escapes.undo(text, b"".join(kinds))


def _piece(needle: bytes) -> bytes:
    """A run of letters and digits, or of enough digits: these are the same in either case of
    hexadecimal."""
    digits = max(re.split(rb"[^0-9]+", needle), key=len)
    return digits if len(digits) >= _ENOUGH_DIGITS else _longest_run(needle)


def _longest_run(needle: bytes) -> bytes:
    return max(re.split(rb"[^A-Za-z0-9]+", needle), key=len)


def _places(text: bytes, needle: bytes) -> Iterator[int]:
    at = text.find(needle)
    while at >= 0:
        yield at
        at = text.find(needle, at + 1)
