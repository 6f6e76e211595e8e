"""How limits are written, in config.yaml and in moat.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from moat.config.schema import Quantity, Record
from moat.core.durations import DURATION
from moat.core.limits import (
    DECIMAL,
    OPTIONS,
    SIZE,
    WHOLE,
    LimitName,
    Said,
    parse_limit,
)

_FORMS: Mapping[LimitName, str] = {
    "wall": DURATION,
    "memory": SIZE,
    "processes": WHOLE,
    "cpus": DECIMAL,
    "disk": SIZE,
    "files": WHOLE,
}
_NONE = r"[Nn][Oo][Nn][Ee]"


def _said(**amounts: Any) -> Said:
    return tuple((OPTIONS[word], amount) for word, amount in amounts.items())


LIMITS = Record(
    _said,
    {
        word: Quantity(partial(parse_limit, name), rf"\s*(?:{_FORMS[name]}|{_NONE})\s*")
        for word, name in OPTIONS.items()
    },
)
