"""What the processes of a box use is told soon, however much there is to look at."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator

import pytest

from moat.core.limits import Limits
from moat.runtimes.sandbox.usage import Usage, Weighed
from moat.runtimes.sandbox.watch import Seen, Watch

MIB = 1 << 20
Looked = list[str]


@pytest.fixture
def processes() -> Iterator[int]:
    """A descriptor of /proc."""
    descriptor = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Looked]:
    """Say what each process has of its own; gives the names of those that were looked at."""

    def said(each: Callable[[str, int], int]) -> Looked:
        looked: Looked = []

        def share(_: Usage, name: str, resident: int) -> int:
            looked.append(name)
            return each(name, resident)

        monkeypatch.setattr(Usage, "_share", share)
        return looked

    return said


def test_one_that_has_too_much_is_enough(shares: Callable[..., Looked]) -> None:
    """It is the largest, and what it has nobody has handed to it meanwhile."""
    looked = shares(lambda name, resident: resident if name == "9" else 1)
    resident = {str(number): 300 for number in range(9)} | {"9": 2000}
    assert Weighed(2000, certain=True) == Usage(-1).weigh(resident, 512, seconds=60)
    assert ["9"] == looked


def test_what_several_have_together_is_looked_at_again(shares: Callable[..., Looked]) -> None:
    """One may have ended, and another begun, between two of them."""
    looked = shares(lambda _, resident: resident)
    resident = dict.fromkeys("abcdef", 200)
    assert Weighed(600) == Usage(-1).weigh(resident, 512, seconds=60)
    assert 3 == len(looked)


def test_what_cannot_be_too_much_is_not_looked_at(shares: Callable[..., Looked]) -> None:
    """When the largest share, what all others have may be counted in full."""
    looked = shares(lambda *_: 10)
    assert 340 == Usage(-1).weigh({"a": 400, "b": 300, "c": 30}, 512, seconds=60).memory
    assert ["a"] == looked


@pytest.mark.attack
def test_who_has_it_take_for_ever_has_too_much(shares: Callable[..., Looked]) -> None:
    """What is not looked at in time counts in full, and is over."""
    looked = shares(lambda *_: 1)
    resident = {str(number): 300 for number in range(250)}
    weighed = Usage(-1).weigh(resident, 512, seconds=-1)
    assert (True, True, 1) == (weighed.certain, weighed.memory > 512, len(looked))


def test_a_stopped_look_ends(shares: Callable[..., Looked]) -> None:
    """Whoever closes it waits for it."""
    looked = shares(lambda *_: 1)
    usage = Usage(-1)
    usage.stop()
    assert not usage.weigh({"a": 300, "b": 300}, 512, seconds=60).certain
    assert [] == looked


def test_real_processes_are_counted_and_weighed(processes: int) -> None:
    """This one, and what it shares with a child once."""
    with mmap.mmap(-1, 64 * MIB) as area:
        for place in range(0, len(area), 4096):
            area[place] = 1
        reads, writes = os.pipe()
        if (child := os.fork()) == 0:
            sum(area[place] for place in range(0, len(area), 4096))
            os.read(reads, 1)
            os._exit(0)
        usage, names = Usage(processes), (str(os.getpid()), str(child))
        while (resident := usage.count().resident)[names[1]] < 64 * MIB:
            os.sched_yield()
        ours = {name: resident[name] for name in names}
        both, limit = sum(ours.values()), sum(ours.values()) - MIB
        found = usage.weigh(ours, limit, seconds=60)
        os.write(writes, b"\0")
        os.waitpid(child, 0)
        for descriptor in (reads, writes):
            os.close(descriptor)
    assert found.memory <= limit < both
    assert Weighed(0) == usage.weigh({"99999999": 5}, 4, seconds=60)


@pytest.mark.attack
def test_a_look_that_takes_long_puts_off_the_next_a_second_at_most() -> None:
    """Else who makes a look slow is not looked at; and one that is over is looked at at once."""
    limits = Limits(memory=1000)
    watch = Watch.__new__(Watch)
    watch._limits, watch._group, watch._memory = limits, None, True
    for memory, most in ((10, 1.0), (1001, 0.1)):
        watch._last, watch._took = Seen(0.0, memory=memory), 30.0
        assert watch.pause() <= most
