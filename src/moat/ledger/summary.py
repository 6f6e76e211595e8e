"""What the requests of a run amount to, by destination, refusal and credential."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from moat.ledger.trace import open_trace, trace_error

_SHOWN = 50  # refusals that are told one by one


@dataclass(frozen=True, slots=True)
class Destination:
    """The requests to one host; bytes are those on the wire."""

    host: str
    requests: int
    refused: int
    failed: int
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused or failed, how often, and the rule that decided."""

    request: str
    rule: str | None
    times: int


@dataclass(frozen=True, slots=True)
class Summary:
    """`credentials` are uses by grant; `alarms` what no agent does by accident."""

    destinations: tuple[Destination, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    credentials: dict[str, int] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()


def summarize(file: Path) -> Summary:
    """Add up the trace of a run, up to its last commit. Raises RecordError."""
    try:
        with open_trace(file) as (database, columns):
            if not columns:
                return Summary()
            alarm = "alarm" if "alarm" in columns else "NULL"
            return Summary(
                destinations=tuple(
                    Destination(*row)
                    for row in database.execute(
                        "SELECT host, count(*), sum(outcome = 'refused'), sum(outcome = 'failed'),"
                        " sum(bytes_up), sum(bytes_down) FROM exchange GROUP BY host"
                        " ORDER BY sum(bytes_up) DESC, host"
                    )
                ),
                refusals=tuple(
                    Refusal(*row)
                    for row in database.execute(
                        "SELECT method || ' ' || url, max(rule), count(*) FROM exchange"
                        " WHERE outcome = 'refused' GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT ?",
                        (_SHOWN,),
                    )
                ),
                credentials=_uses(database),
                alarms=tuple(
                    text
                    for (text,) in database.execute(
                        f"SELECT DISTINCT {alarm} FROM exchange WHERE {alarm} IS NOT NULL"  # noqa: S608
                    )
                ),
            )
    except sqlite3.Error as error:
        raise trace_error(file, error) from error


def _uses(database: sqlite3.Connection) -> dict[str, int]:
    uses: Counter[str] = Counter()
    rows = database.execute(
        "SELECT grants, count(*) FROM exchange WHERE grants != '' GROUP BY grants"
    )
    for grants, times in rows:
        for grant in grants.split(","):
            uses[grant] += times
    return dict(sorted(uses.items()))
