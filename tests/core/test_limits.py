"""Limits as they are written, merged and told of."""

from __future__ import annotations

from typing import Any

import pytest

from moat.core.limits import (
    MIB,
    LimitName,
    Limits,
    default_limits,
    duration_text,
    exceeded,
    merged,
    parse_limit,
    size_text,
)

GIB = 1024 * MIB


@pytest.mark.parametrize(
    ("name", "text", "amount"),
    [
        ("memory", "4g", 4 * GIB),
        ("memory", "512MiB", 512 * MIB),
        ("memory", "512 mb", 512 * MIB),
        ("memory", "1.5G", GIB * 3 // 2),
        ("memory", "33554432", 32 * MIB),
        ("disk", "1024k", MIB),
        ("wall", "90", 90),
        ("wall", "90s", 90),
        ("wall", "0.5", 0.5),
        ("wall", "1h30m", 5400),
        ("wall", "2d", 172_800),
        ("wall", "1.5w", 907_200),
        ("processes", "64", 64),
        ("files", "1024", 1024),
        ("cpus", "0.5", 0.5),
        ("cpus", "2", 2),
        *((name, " None ", None) for name in ("wall", "memory", "cpus")),
    ],
)
def test_a_limit_is_read_as_people_write_it(
    name: LimitName, text: str, amount: float | None
) -> None:
    """Sizes in 1024s, durations in parts, and `none` for none."""
    assert amount == parse_limit(name, text)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("memory", "lots", "is not a size such as"),
        ("memory", "-1g", "is not a size such as"),
        ("memory", "", "is not a size such as"),
        ("memory", "4 gigs", "is not a size such as"),
        ("memory", "512", "too little: 16 MiB is the least, did you forget the unit"),
        ("memory", "9000t", "more than any machine has"),
        ("disk", "1k", "too little: 1 MiB"),
        ("wall", "0", "from a moment to a year"),
        ("wall", "10000d", "from a moment to a year"),
        ("wall", "30 minutes", "is not a duration such as"),
        ("wall", "", "is not a duration such as"),
        ("wall", "m30", "is not a duration such as"),
        ("processes", "3", "too few processes to run anything"),
        ("processes", "1.5", "is not a number of processes"),
        ("files", "many", "is not a number of files"),
        ("cpus", "0", "0.01 is the least"),
        ("cpus", "nan", "is not a number of processors"),
    ],
)
def test_what_is_no_limit_is_refused(name: LimitName, text: str, why: str) -> None:
    """In words that say what one looks like."""
    with pytest.raises(ValueError, match=why):
        parse_limit(name, text)


def test_what_is_said_later_comes_first() -> None:
    """And what nobody speaks of stays as it was."""
    defaults = Limits(memory=1, processes=2, disk=3)
    settings: Any = (("memory", 10), ("processes", 20))
    options: Any = (("memory", None),)

    assert Limits(memory=None, processes=20, disk=3) == merged(defaults, settings, options)
    assert defaults == merged(defaults)


def test_defaults_leave_the_host_room() -> None:
    """A share of its memory, and of that a share for what is kept in memory as files."""
    limits = default_limits(host_memory=16 * GIB, host_files=1024)

    assert Limits(memory=12 * GIB, processes=4096, disk=6 * GIB, files=1024) == limits
    assert 65_536 == default_limits(host_memory=GIB, host_files=1 << 30).files


@pytest.mark.parametrize(
    ("size", "text"),
    [(512 * MIB, "512 MiB"), (GIB * 3 // 2, "1.5 GiB"), (2 * GIB - 1, "1.9 GiB"), (7, "7 bytes")],
)
def test_a_size_never_reads_as_more_than_it_is(size: int, text: str) -> None:
    """Rounded down, to a tenth."""
    assert text == size_text(size)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 s"), (60, "1 min"), (5400, "1 h 30 min"), (3601, "1 h 1 s")]
)
def test_a_duration_reads_in_its_parts(seconds: float, text: str) -> None:
    """Without those that are nothing."""
    assert text == duration_text(seconds)


def test_each_limit_has_words_of_its_own() -> None:
    """Which limit it was, and how much it allows."""
    limits = Limits(wall=90, memory=512 * MIB, processes=64, cpus=0.5, disk=MIB, files=64)

    told = {name: exceeded(name, limits).text for name in Limits._fields}

    assert "it used more memory than the 512 MiB it may" == told["memory"]
    assert "it ran longer than the 1 min 30 s it may" == told["wall"]
    assert len(Limits._fields) == len(set(told.values()))
