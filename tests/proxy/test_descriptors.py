"""The limit on descriptors: what the proxy's own bounds may need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from moat.proxy.h2_client import MAX_OF_RUN
from moat.proxy.server import MAX_CLIENTS
from moat.proxy.upstream import MOST_IDLE

_SCRIPT = """
import resource, sys
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from moat.proxy.descriptors import raise_descriptor_limit
raise_descriptor_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def limits(soft: int, hard: int) -> tuple[int, int]:
    """What is left of these limits."""
    line = [sys.executable, "-c", _SCRIPT, str(soft), str(hard)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    return first, second


@pytest.mark.parametrize(
    ("soft", "hard", "then"), [(256, 4096, 4096), (256, 600, 600), (256, 5000, 4096)]
)
def test_the_limit_is_raised_as_far_as_it_may_be(soft: int, hard: int, then: int) -> None:
    assert (then, hard) == limits(soft, hard)


def test_a_higher_one_stays() -> None:
    assert (4500, 5000) == limits(4500, 5000)


def test_it_is_enough_for_what_a_box_may_hold_open() -> None:
    assert limits(256, 4096)[0] > MAX_CLIENTS * 2 + MAX_OF_RUN + MOST_IDLE
