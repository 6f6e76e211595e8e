"""What stands in a box in the place of a secret, and how it may be spelled on its way out."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

MARK = "moat-proxy-injected"
"""What placeholders have in common, and no secret has."""

_FIT = re.compile(r"[A-Za-z0-9._~-]{8,}")
# A letter, a digit or one of `-._~`, percent-encoded: no honest client does that.
_ENCODED = re.compile(rb"%(?:2[DEde]|3[0-9]|[4-7][0-9A-Fa-f])")
# So many certain digits are not met by chance.
_ENOUGH_DIGITS = 10
_OTHER_ALPHABET = bytes.maketrans(b"+/", b"-_")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """The text a box holds for a grant: letters, digits and `-._~`, which nobody has to encode.

    None of a run's is part of another's.
    """

    grant: str
    text: str

    def __post_init__(self) -> None:
        if not _FIT.fullmatch(self.text):
            raise ValueError(f"{self.text!r} is no placeholder of {self.grant}")


class Watched:
    """Some placeholders, to be found as they are, percent-encoded, in base64 and in hex.

    As nearly all contain MARK, it is the few spellings of that which are looked for first: what
    has nothing in it, and nearly nothing has, costs next to nothing however many there are.
    """

    def __init__(self, placeholders: Iterable[Placeholder]) -> None:
        grants: dict[str, set[str]] = {}
        for item in placeholders:
            grants.setdefault(item.text, set()).add(item.grant)
        self._each = [(frozenset(of), _spelled(text)) for text, of in grants.items()]
        marks = {MARK if MARK in text else text for text in grants}
        self._marks = tuple({_core(form) for mark in sorted(marks) for form in _spelled(mark)})
        # All of it percent-encoded takes the most; base64 in lines takes less, line ends and all.
        self.reach = 3 * max(map(len, grants), default=0)
        """How many bytes one takes at most."""

    def __bool__(self) -> bool:
        return bool(self._each)

    def are_all_of(self, grants: frozenset[str]) -> bool:
        """Whether there is none but of these grants."""
        return all(not of.isdisjoint(grants) for of, _ in self._each)

    def may_be_in(self, data: bytes) -> bool:
        """False where none is; quick, for this is the answer nearly always."""
        for mark in self._marks:
            # `in` would be slower: it first tries whether the mark is a number
            if data.find(mark) >= 0:
                return True
        views = _other_views(data)
        return bool(views) and any(mark in view for view in views for mark in self._marks)

    def find(self, data: bytes, *, but: frozenset[str]) -> str | None:
        """The grant of the first that stands in some bytes and is of none of these grants."""
        for view in (data, *_other_views(data)):
            for of, forms in self._each:
                if of.isdisjoint(but):
                    for form in forms:
                        if view.find(form) >= 0:
                            return min(of)
        return None


def _other_views(data: bytes) -> list[bytes]:
    """Some bytes less percent-encoding, and less the line ends where they look like those of
    base64; none where that changes nothing."""
    views = []
    if 0x25 in data and _ENCODED.search(data):
        from urllib.parse import unquote_to_bytes  # here, since every start pays for an import

        views.append(unquote_to_bytes(data))
    if 0x0A in data:
        from moat.engine.escapes import BROKEN  # as above

        if BROKEN.search(data):
            views.append(data.translate(None, b"\r\n"))
    return views


def _core(form: bytes) -> bytes:
    """What to look for first: in hexadecimal, digits that are the same in either case."""
    digits = max(re.split(rb"[^0-9]+", form), key=len)
    return digits if len(digits) >= _ENOUGH_DIGITS else form


def _spelled(text: str) -> tuple[bytes, ...]:
    raw = text.encode()
    forms = [raw, raw.hex().encode(), raw.hex().upper().encode()]
    for offset in range(3):
        encoded = binascii.b2a_base64(b"\0" * offset + raw, newline=False)
        # RFC 4648 section 4: a character has six bits; those that a neighbour shares are left out.
        sure = encoded[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
        forms += (sure, sure.translate(_OTHER_ALPHABET))
    return tuple(dict.fromkeys(forms))
