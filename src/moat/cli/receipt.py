"""How a receipt is shown: in lines for a person, as data for a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from moat.cli.units import bytes_text, seconds_text
from moat.run.receipt import Receipt

_SHOWN = 8


def lines_of(receipt: Receipt) -> Iterator[str]:
    """The receipt in lines."""
    record = receipt.record
    took = "" if receipt.duration is None else f" after {seconds_text(receipt.duration)}"
    yield f"run {record.run}{f' ({record.name})' if record.name else ''}: {receipt.how}{took}"
    yield from _requests(receipt)
    yield from _files(receipt)


def _requests(receipt: Receipt) -> Iterator[str]:
    summary = receipt.summary
    if receipt.unread is not None:
        yield f"  requests: {receipt.unread}"
    for text in summary.alarms[:_SHOWN]:
        yield f"  alarm: {text}"
    shown = [
        f"{item.host} {item.requests}x"
        + (f", {bytes_text(item.bytes_up)} out" if item.bytes_up else "")
        + (f", {item.refused} refused" if item.refused else "")
        + (f", {item.failed} failed" if item.failed else "")
        for item in summary.destinations
    ]
    yield from _several("requests", shown, "moat trace")
    yield from _several(
        "refused", [f"{item.request} ({item.times}x)" for item in summary.refusals], "moat trace"
    )
    uses = [f"{grant} {times}x" for grant, times in summary.credentials.items()]
    yield from _several("credentials used", uses, "moat trace")


def _files(receipt: Receipt) -> Iterator[str]:
    changes = receipt.changes
    if changes is None:
        return
    counts = [
        f"{len(changes[kind])} {kind}" for kind in ("added", "changed", "removed") if changes[kind]
    ]
    if counts:
        more = "" if changes.get("complete", True) else ", and more that were not looked at"
        yield f"  files: {', '.join(counts)}{more}"
    yield from _several("not guarded", changes.get("notes", ()), "moat receipt --json")
    yield from _several(
        "these would run something on this machine",
        [f"{item['path']} ({item['why']})" for item in changes.get("executed", ())],
        "moat receipt --json",
    )


def _several(what: str, items: Sequence[str], where: str) -> Iterator[str]:
    if len(items) == 1:
        yield f"  {what}: {items[0]}"
    elif items:
        yield f"  {what}:"
        yield from (f"    {item}" for item in items[:_SHOWN])
        if len(items) > _SHOWN:
            yield f"    and {len(items) - _SHOWN} more: {where}"


def as_data(receipt: Receipt) -> dict[str, Any]:
    """The receipt for a program."""
    record = receipt.record
    return {
        "run": record.run,
        "name": record.name,
        "state": record.state,
        "how": receipt.how,
        "exit_code": record.exit_code,
        "limit": record.limit,
        "created": record.created,
        "ended": record.ended,
        "duration": receipt.duration,
        **asdict(receipt.summary),
        "files": receipt.changes,
        "unread": receipt.unread,
    }
