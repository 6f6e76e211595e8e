"""Which limits were met and which of them ends a box, by what was seen of it."""

from __future__ import annotations

from typing import Any

from moat.core.limits import Exceeded, Limits
from moat.runtimes.sandbox.watch import Judge, Seen

LIMITS = Limits(memory=1000, processes=64, disk=6400)


def judged(*looks: dict[str, Any], held: bool = True) -> tuple[Judge, list[str | None]]:
    """A judge, and what it said to each look, half a second apart unless said."""
    judge = Judge(LIMITS, held=held)
    said = [judge.judge(Seen(**({"at": at / 2} | look))) for at, look in enumerate(looks)]
    return judge, [each and each.limit for each in said]


def met(judge: Judge) -> set[str]:
    return set(judge.met)


def test_nothing_that_is_met_ends_nothing() -> None:
    """Also just below a limit of memory: it may be used."""
    judge, said = judged({"processes": 10, "memory": 1000, "disk": 10}, {"memory": None})
    assert ([None, None], set()) == (said, met(judge))


def test_a_process_that_the_kernel_ended_for_memory_ends_the_box() -> None:
    """At once: whatever is left of it is no longer what was started."""
    _, said = judged({}, {"oom_kills": 1})
    assert [None, "memory"] == said


def test_memory_that_is_watched_is_looked_at_twice() -> None:
    """What is counted one after the other may be counted twice, once."""
    _, said = judged({"memory": 1001}, {"memory": 999}, {"memory": 1001}, {"memory": 1001})
    assert [None, None, None, "memory"] == said


def test_processes_end_the_box_when_they_stay_at_the_limit() -> None:
    """Refused again and again, or as many as there may be."""
    _, said = judged(*({"refused": count} for count in (1, 2, 3, 4)))
    assert [None, None, None, "processes"] == said
    _, said = judged(*({"processes": 64, "refused": 1} for _ in range(4)))
    assert [None, None, None, "processes"] == said
    # The kernel counts some more than are seen: with 62 to be seen, no other is started.
    _, said = judged(*({"processes": 62} for _ in range(4)))
    assert [None, None, None, "processes"] == said
    assert [None] * 4 == judged(*({"processes": 61} for _ in range(4)))[1]


def test_a_process_that_was_refused_once_is_told() -> None:
    """And so is every other time, if there was room between them."""
    judge, said = judged(*({"refused": count // 2} for count in range(12)))
    assert ([None] * 12, {"processes"}) == (said, met(judge))


def test_where_nobody_refuses_one_too_many_ends_the_box() -> None:
    """There is nothing else that would keep it from making more."""
    assert [None, "processes"] == judged({"processes": 60}, {"processes": 65}, held=False)[1]
    assert [None] == judged({"processes": 65})[1]


def test_a_full_disk_ends_the_box_when_it_stays_full() -> None:
    """It may be emptied; what several hold together beyond the limit ends it at once."""
    full, half = {"disk": 6400}, {"disk": 3000}
    assert [None] * 6 == judged(full, full, full, half, full, half)[1]
    assert [None, None, None, "disk"] == judged(full, full, full, full)[1]
    assert ["disk"] == judged({"disk": 6401})[1]


def test_what_was_met_just_before_a_bad_end_is_why() -> None:
    """Not when it ended well, nor when that was long ago."""
    for failed, late, why in (
        (True, 1.0, "processes"),
        (False, 1.0, None),
        (True, 60.0, None),
    ):
        judge, _ = judged({"refused": 1})
        judge.end(late, failed=failed)
        assert why == (judge.exceeded and judge.exceeded.limit)
        assert {"processes"} == met(judge)


def test_the_first_limit_that_ends_it_is_the_one() -> None:
    """What comes of its end is not why it ended."""
    judge, _ = judged({"oom_kills": 1}, {"disk": 7000})
    assert isinstance(judge.exceeded, Exceeded)
    assert "memory" == judge.exceeded.limit


def test_memory_that_is_certain_is_looked_at_once() -> None:
    """One process alone has too much, or nobody could tell in time."""
    assert ["memory"] == judged({"memory": 1001, "certain": True})[1]
    assert [None] == judged({"memory": 900, "certain": True})[1]
