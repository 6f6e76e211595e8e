"""Limits in a settings file: words with a unit, numbers, and none."""

from __future__ import annotations

import pytest

from moat.config.limits_schema import LIMITS
from moat.config.yaml import read_yaml
from moat.errors import ConfigError


def test_an_amount_needs_no_quotes() -> None:
    """YAML takes some for numbers and some for text; here both are amounts."""
    text = b"timeout: 90\nmemory: 4g\ncpus: 1.5\npids: none\n"

    said = LIMITS.read(read_yaml(text, name="f"))

    assert (("wall", 90), ("memory", 4 << 30), ("cpus", 1.5), ("processes", None)) == said
    assert () == LIMITS.read(read_yaml(b"", name="f"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("memory: lots", '1:9: "lots" is not a size'),
        ("memory: 512", "did you forget the unit"),
        ("memory:", "expected an amount, or none, found nothing"),
        ("pids: [1]", "expected an amount, or none, found a list"),
        ("pids: 0x40", "expected a decimal number"),
        ("timeout: 1:30", "expected a decimal number"),
        ("wall: 90", 'unknown key "wall"'),
        ("cpus: true", "expected an amount, or none, found true or false"),
    ],
)
def test_what_is_no_amount_is_refused_at_its_place(text: str, why: str) -> None:
    """And YAML's odder numbers are none."""
    with pytest.raises(ConfigError, match=why):
        LIMITS.read(read_yaml(text.encode(), name="f"))
