"""Names that stand in paths, records and commands."""

from __future__ import annotations

import os
import re
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_RUN_ID = re.compile(r"[0-9a-hjkmnp-tv-z]{10}")


def new_run_id(*, now: float | None = None) -> str:
    """A fresh run id: ten characters that sort by time of making, to about two minutes.

    Five characters count spans of 128 s (until 2106), five are random.
    """
    moment = int(time.time() if now is None else now) // 128
    number = (moment % 32**5) * 32**5 + int.from_bytes(os.urandom(4)) % 32**5
    digits = []
    for _ in range(10):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def is_run_id(text: str) -> bool:
    """Whether a text has the form of a run id."""
    return _RUN_ID.fullmatch(text) is not None


def is_run_id_prefix(text: str) -> bool:
    """Whether a text could be the beginning of a run id."""
    return 0 < len(text) <= 10 and all(letter in _ALPHABET for letter in text)
