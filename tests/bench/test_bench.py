"""The measurements measure what they say, and the page takes what they bring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bench import page, runs, srt, start, traffic
from tests.bench.load import Target, ask_on, connected
from tests.bench.report import Goal, Result, Table
from tests.bench.targets import DIRECT, MOAT, MOAT_PLAIN, Field, field

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with field(tmp_path_factory.mktemp("bench"), ["moat"]) as started:
        yield started


def _ask(target: Target) -> float:
    with connected(target, 2) as clients:
        return ask_on(target, clients, 0).units


@pytest.mark.parametrize("name", [DIRECT, MOAT, MOAT_PLAIN])
def test_requests_come_through(there: Field, name: str) -> None:
    """Moat's proxy starts as the measurements start it, and does its work."""
    assert _ask(there.targets[name]) == 2


def test_processor_time_is_that_of_the_proxy(there: Field) -> None:
    """What is asked past a proxy costs it nothing to speak of; what goes through it does."""
    proxy = there.targets[MOAT]
    past = replace(there.targets[DIRECT], pid=proxy.pid)
    costs = []
    for target in (past, proxy):
        with connected(target, 1) as clients:
            taken = ask_on(target, clients, 0.3)
            costs.append(taken.cpu / taken.units)
    assert costs[0] < costs[1]


def test_what_does_not_put_the_key_in_is_not_measured(there: Field) -> None:
    """A proxy that forwards the placeholder would look cheap."""
    idle = replace(there.targets[DIRECT], key="placeholder")
    with pytest.raises(RuntimeError, match="401"):
        _ask(idle)


def test_no_two_requests_are_alike() -> None:
    """A proxy that remembers a head or a body gains nothing."""
    requests = traffic.Requests(traffic.CREDENTIALED, traffic.KEY)
    heads, bodies = zip(*(requests.next().split(b"\r\n\r\n") for _ in range(50)), strict=True)
    assert len(set(heads)) == len(set(bodies)) == 50


@pytest.mark.parametrize(
    ("value", "said"),
    [(2.5, "2.50x, met"), (2.6, "2.60x, NOT met"), (None, "not measured")],
)
def test_a_goal_says_whether_it_is_met(value: float | None, said: str) -> None:
    """Missed and not measured are told apart from met."""
    assert Goal("this", value, 2.5, "x").result() == said


def test_the_page_takes_what_is_measured(tmp_path: Path) -> None:
    """Its own words stay, what was measured before goes."""
    copy = tmp_path / "performance.md"
    copy.write_text((ROOT / "docs/reference/performance.md").read_text())
    before = copy.read_text().partition("## Results")[0]
    for figure in (11.0, 22.0):
        result = Result([Table("Something", ("ms",), (("a row", [figure]),))])
        page.write(copy, ["a machine"], [result])
    written = copy.read_text()
    assert written.startswith(before)
    assert "| a row | 22 |" in written
    assert "| a row | 11 |" not in written


# whole runs


def test_runs_at_once_are_waited_for() -> None:
    """And one that fails is no figure."""
    with runs.new_place() as place:
        assert 0 < runs.together(place, 2)
        place.workspace.rmdir()
        place.workspace.touch()
        with pytest.raises((RuntimeError, OSError)):
            runs.together(place, 2)


def test_memory_is_that_of_supervisors() -> None:
    """Of each, with its part of what they share; none is left."""
    with runs.new_place() as place:
        found = runs.supervisors(place, 2)
        assert all(5 << 20 < pss < 500 << 20 for pss in found)
        locks = [*place.runs.glob("*/lock")]
        assert 2 == len(locks)
    assert not place.runs.exists()


def test_a_key_comes_back(tmp_path: Path) -> None:
    """At a terminal as through a run of one; with what the run adds as a row of its own."""
    table = runs.keys(3).tables[0]
    assert ["bare", "moat run", "added"] == [name for name, _ in table.rows]
    bare, through, added = (values[0] for _, values in table.rows)
    assert bare is not None
    assert through is not None
    assert bare + added == pytest.approx(through)


def test_what_is_not_there_has_a_row_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are measured all the same, and the goal against it is not met by that."""
    monkeypatch.setattr(srt, "_NEEDED", {"a program nobody has": "no-such-program"})
    monkeypatch.setattr(
        start, "interleaved", lambda _, **what: {name: one() for name, one in what.items()}
    )
    result = start.bench_run(tmp_path)
    name, values = result.tables[0].rows[-1]
    assert ("srt true: no a program nobody has", [None, None]) == (name, values)
    assert "not measured" == result.goals[-1].result()
