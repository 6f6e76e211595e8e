"""How much work it is, without a clock for what is Python, and with the processor's for the rest.

Work that grows with the square of its input is sixteen times as much for four times the input.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

MOST_STEPS = 6.0
"""How many times the steps of Python four times as much may take: four, and what rounds up."""
MOST_TIME = 7.0
"""How many times the processor: the square would be 16, less what is linear beside it."""
_TRIES = 4

Work = Callable[[], object]


def steps(work: Work) -> int:
    """The instructions of the product that some work takes; those of libraries do not count."""
    count = 0

    def within(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "opcode"
        return within

    def entered(frame: FrameType, event: str, _: Any) -> Any:
        if "/moat/" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return within

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def seconds(work: Work, times: int = 3) -> float:
    """Processor time of this thread for some work, the best of several times."""
    best = float("inf")
    for _ in range(times):
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
    return best


def ratio_of_time(make: Callable[[int], Work], size: int) -> float:
    """How many times as long four times as much takes: the least of several tries, for what else
    goes on makes it more or less, and only a linear one is ever linear."""
    least = float("inf")
    for _ in range(_TRIES):
        least = min(least, seconds(make(4 * size)) / seconds(make(size)))
        if least < MOST_TIME:
            break
    return least
