"""The measurements measure what they say, and the page takes what they bring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bench import page, traffic
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
