"""How a receipt is shown: in lines for a person, as data for a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from moat.cli.units import bytes_text, seconds_text
from moat.run.receipt import Receipt
from moat.run.unlooked import why_unlooked

_SHOWN = 8
_SHOWN_FIRST = 40  # of what runs without being asked for: more than there are reasons


def lines_of(receipt: Receipt) -> Iterator[str]:
    """The receipt in lines."""
    record = receipt.record
    took = "" if receipt.duration is None else f", after {seconds_text(receipt.duration)}"
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
    counts = [
        f"{len(changes[kind])} {kind}"
        for kind in ("added", "changed", "removed")
        if changes is not None and changes[kind]
    ]
    told = (", ".join(counts), why_unlooked(receipt.record, changes))
    if any(told):
        yield f"  files: {'; '.join(text for text in told if text)}"
    if changes is None:
        return
    yield from _several("not guarded or looked at", changes.get("notes", ()), "moat receipt --json")
    executed = changes.get("executed", ())
    for items, when, most in (
        ([item for item in executed if not item.get("asked")], "by itself", _SHOWN_FIRST),
        ([item for item in executed if item.get("asked")], "when you build or test", _SHOWN),
    ):
        yield from _several(
            f"{len(items)} {'file' if len(items) == 1 else 'files'} would run something on this "
            f"machine, {when}",
            [f"{item['path']} ({item['why']})" for item in _of_each_reason(items)],
            "moat receipt --json",
            most=most,
        )


def _of_each_reason(items: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One for each reason first, the nearest to the top of the workspace: many of a kind must not
    push out the only one of another."""
    nearest = sorted(items, key=lambda item: (item["path"].count("/"), item["path"]))
    numbered, seen = [], Counter[str]()
    for item in nearest:
        numbered.append((seen[item["why"]], item))
        seen[item["why"]] += 1
    yield from (item for _, item in sorted(numbered, key=lambda one: one[0]))


def _several(what: str, items: Sequence[str], where: str, *, most: int = _SHOWN) -> Iterator[str]:
    if len(items) == 1:
        yield f"  {what}: {items[0]}"
    elif items:
        yield f"  {what}:"
        yield from (f"    {item}" for item in items[:most])
        if len(items) > most:
            yield f"    and {len(items) - most} more: {where}"


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
