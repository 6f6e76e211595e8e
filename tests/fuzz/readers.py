"""Readers of requests as there are many: each lenient in its own way.

Which request stands where must not depend on who reads: what the proxy sends has to mean the same
to all of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from itertools import product
from typing import Any


@dataclass(frozen=True)
class Quirks:
    """Where a reader is lenient."""

    bare_lf: bool = True  # ends a line
    bare_cr: bool = False  # ends a line as well
    folding: bool = True  # a line that begins with a blank belongs to the one before
    blank_before_colon: bool = True  # is cut off
    any_coding: bool = False  # "chunked" anywhere in a Transfer-Encoding counts
    length_first: bool = False  # before Transfer-Encoding
    last_length: bool = False  # of several counts
    loose_sizes: bool = True  # what begins like a number is one
    nul_ends: bool = False  # a value


ALL = [Quirks(*values) for values in product(*([(False, True)] * len(fields(Quirks))))]

Reading = tuple[bytes, bytes, list[bytes], bytes]
"""Method, target, the values of Host, and the body."""


def read(data: bytes, quirks: Quirks) -> list[Reading]:
    """The requests that a reader with these quirks finds; it stops where it understands nothing."""
    found: list[Reading] = []
    while data:
        taken = _read_one(data, quirks)
        if taken is None:
            break
        reading, data = taken
        found.append(reading)
    return found


def _line(data: bytes, quirks: Quirks) -> tuple[bytes, bytes] | None:
    ends = [rb"\r\n"]
    if quirks.bare_lf:
        ends.append(rb"\n")
    if quirks.bare_cr:
        ends.append(rb"\r")
    match = re.search(b"|".join(ends), data)
    return None if match is None else (data[: match.start()], data[match.end() :])


def _read_one(data: bytes, quirks: Quirks) -> tuple[Reading, bytes] | None:
    lines: list[bytes] = []
    while True:
        taken = _line(data, quirks)
        if taken is None:
            return None
        line, data = taken
        if not line:
            if not lines:
                continue  # empty lines before a request are overlooked
            break
        if quirks.folding and lines and line[:1] in (b" ", b"\t"):
            lines[-1] += b" " + line.strip()
        else:
            lines.append(line)
    words = lines[0].split()
    if len(words) < 2:
        return None
    values: dict[bytes, list[bytes]] = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if quirks.nul_ends:
            value = value.partition(b"\0")[0]
        name = name.rstrip() if quirks.blank_before_colon else name
        values.setdefault(name.lower(), []).append(value.strip())
    body = _body(data, values, quirks)
    if body is None:
        return None
    content, rest = body
    return (words[0], words[1], values.get(b"host", []), content), rest


def _body(
    data: bytes, values: dict[bytes, list[bytes]], quirks: Quirks
) -> tuple[bytes, bytes] | None:
    codings = b",".join(values.get(b"transfer-encoding", []))
    lengths = values.get(b"content-length", [])
    chunked = b"chunked" in codings.lower() if quirks.any_coding else codings.lower() == b"chunked"
    if chunked and not (lengths and quirks.length_first):
        return _chunks(data, quirks)
    if not lengths:
        return b"", data
    size = _number(lengths[-1 if quirks.last_length else 0], 10, quirks)
    if size is None or size > len(data):
        return None
    return data[:size], data[size:]


def _number(text: bytes, base: int, quirks: Quirks) -> int | None:
    if quirks.loose_sizes:
        match = re.match(
            rb"\s*\+?(?:0x)?([0-9A-Fa-f]+)" if base == 16 else rb"\s*\+?([0-9]+)", text
        )
        return None if match is None else int(match[1], base)
    try:
        return int(text, base)
    except ValueError:
        return None


def _chunks(data: bytes, quirks: Quirks) -> tuple[bytes, bytes] | None:
    content = b""
    while True:
        taken = _line(data, quirks)
        if taken is None:
            return None
        line, data = taken
        size = _number(line.partition(b";")[0], 16, quirks)
        if size is None or size > len(data):
            return None
        if size == 0:
            break
        content, data = content + data[:size], data[size:]
        taken = _line(data, quirks)
        if taken is None or taken[0]:
            return None
        data = taken[1]
    while True:
        taken = _line(data, quirks)
        if taken is None:
            return None
        line, data = taken
        if not line:
            return content, data


def disagreement(data: bytes, expected: list[Any]) -> Quirks | None:
    """A reader that finds something else than these requests, if there is any."""
    return next((quirks for quirks in ALL if read(data, quirks) != expected), None)
