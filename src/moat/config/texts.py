"""Sorts of text that more than one settings file has."""

from __future__ import annotations

import re

from moat.config.nodes import quoted
from moat.config.schema import Text
from moat.core.hosts import HostPattern


def like(pattern: str, what: str) -> Text[str]:
    """Text that matches `pattern` from end to end; `what` completes "is not …"."""
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"{quoted(text)} is not {what}")
        return text

    return Text(parse, pattern)


def _host_pattern(text: str) -> str:
    return str(HostPattern.parse(text))


HOST_PATTERN = Text(_host_pattern, r"[^/\s]+")
"""Hosts, each as HostPattern writes it."""
