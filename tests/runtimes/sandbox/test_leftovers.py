"""What bubblewrap leaves behind is known by what it holds, and nothing else is ended."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from moat.runtimes.sandbox.leftovers import end_leftovers
from moat.runtimes.sandbox.spawn import memory_file

RUN, OTHER = "dc1eh6tndp", "dc2aaaaaaa"


@pytest.fixture
def started() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Processes that could be one, by what is so of them."""
    kinds = {
        "left": ("bwrap", RUN),
        "another run's": ("bwrap", OTHER),
        "another program": ("sleep", RUN),
        "holds nothing": ("bwrap", None),
    }
    found = {}
    for kind, (name, run) in kinds.items():
        given = [] if run is None else [memory_file(f"{run}-seccomp", b"")]
        found[kind] = subprocess.Popen([name, "300"], executable="/usr/bin/sleep", pass_fds=given)
    yield found
    for process in found.values():
        process.kill()
        process.wait()


@pytest.mark.attack
def test_what_was_to_become_a_box_is_ended(
    started: dict[str, subprocess.Popen[bytes]],
) -> None:
    """Of the runs that are lost, and of no other."""
    assert 0 == end_leftovers([])
    assert 1 == end_leftovers([RUN])
    assert -9 == started.pop("left").wait(10)
    assert {None} == {process.poll() for process in started.values()}
    assert 0 == end_leftovers([RUN])
