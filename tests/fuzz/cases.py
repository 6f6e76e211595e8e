"""How many cases, and which: bounded and repeatable, or as many as one has time for.

MOAT_FUZZ_CASES says how many there are of each kind, MOAT_FUZZ_SEED where they begin. A case that
fails says its own seed, and is the only one when it is asked for:

    MOAT_FUZZ_SEED=123 MOAT_FUZZ_CASES=1 .venv/bin/python -m pytest tests/fuzz -k requests
"""

from __future__ import annotations

import asyncio
import inspect
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

CASES = int(os.environ.get("MOAT_FUZZ_CASES", "400"))
SEED = int(os.environ.get("MOAT_FUZZ_SEED", "1"))


def each(share: float = 1.0) -> Iterator[tuple[int, random.Random]]:
    """The cases of one kind, with their seeds; `share` is how many of CASES it takes."""
    for seed in range(SEED, SEED + max(1, round(CASES * share))):
        yield seed, random.Random(seed)


class Failed(AssertionError):
    """A case went wrong; its seed is in the message."""

    def __init__(self, seed: int, what: object) -> None:
        super().__init__(f"MOAT_FUZZ_SEED={seed} MOAT_FUZZ_CASES=1: {what}")


def try_all(one: Callable[[random.Random], object], share: float = 1.0) -> None:
    """Try a case for each seed; one that is a coroutine is run to its end. Raises Failed."""
    with asyncio.Runner() as runner:
        for seed, rng in each(share):
            try:
                case = one(rng)
                if inspect.iscoroutine(case):
                    runner.run(case)
            except Exception as error:
                notes = "; ".join(getattr(error, "__notes__", ()))
                raise Failed(seed, f"{error!r}; {notes}") from error


@contextmanager
def noted(what: str, value: object) -> Iterator[None]:
    """Say what it was that went wrong."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{what} {value!r}")
        raise


def cut(rng: random.Random, data: bytes, most: int = 6) -> list[bytes]:
    """Some bytes in pieces, cut anywhere."""
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(most)))
    return [data[a:b] for a, b in pairwise([0, *places, len(data)])]


def bitten(rng: random.Random, data: bytes, tokens: tuple[bytes, ...] = ()) -> bytes:
    """Some bytes with a few of them changed, lost, doubled or put in."""
    changed = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        end = min(len(changed), at + rng.choice((1, 1, 2, 8, 40)))
        match rng.randrange(6):
            case 0 if at < len(changed):
                changed[at] = rng.randrange(256)
            case 1 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                del changed[at:end]
            case 3:
                changed[at:at] = changed[at:end]
            case 4:
                place = rng.randrange(len(changed) + 1)
                changed[place:place] = changed[at:end]
            case _:
                changed[at:at] = rng.choice(tokens) if tokens else rng.randbytes(rng.randrange(4))
    return bytes(changed)
