"""How much is shown of what has happened."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

from moat.cli.tail import moment
from moat.errors import UsageError


def test_a_duration_is_before_now() -> None:
    """As durations are written everywhere."""
    now = time.time()
    assert now - 5400 == pytest.approx(moment("1h30m", option="--since"), abs=60)
    assert now - 90 == pytest.approx(moment(" 90 ", option="--since"), abs=60)


@pytest.mark.parametrize("minutes", [-10, -60, 60])
def test_a_time_of_the_last_day(minutes: int) -> None:
    """The last time that a clock here showed it: one that is still to come was yesterday."""
    then = datetime.now().replace(second=0, microsecond=0) + timedelta(minutes=minutes)
    wanted = then if minutes < 0 else then - timedelta(days=1)
    hour = f"{then.hour}:{then:%M}"
    for text in (f"{then:%H:%M}", hour, f"{then:%H:%M:%S}"):
        assert wanted.timestamp() == pytest.approx(moment(text, option="--since"), abs=3600)


def test_a_date() -> None:
    """With a time or from its beginning; this place's, unless it says otherwise."""
    assert datetime(2026, 11, 23).timestamp() == moment("2026-11-23", option="--since")
    at = datetime(2026, 11, 23, 14, 30)
    assert at.timestamp() == moment("2026-11-23T14:30", option="--since")
    assert at.timestamp() == moment("2026-11-23 14:30", option="--since")
    assert 1795444200.0 == moment("2026-11-23T14:30Z", option="--since")


@pytest.mark.parametrize(
    "text",
    ["", "soon", "-5m", "25:00", "12:60", "2020-13-01", "2020-01-01T99", "0001-01-01", "1y"],
)
def test_what_is_neither_is_told_in_a_line(text: str) -> None:
    """With a form of each kind."""
    with pytest.raises(UsageError) as caught:
        moment(text, option="--since")
    assert f"--since: {text!r} is neither a duration nor a time" == caught.value.message
    assert "for example: --since 10m, --since 14:30, --since 2026-11-23T14:30" == caught.value.hint
