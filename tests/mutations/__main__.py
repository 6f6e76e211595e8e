"""`make mutations`: every guard is switched off once, and some attack must succeed then.

    .venv/bin/python -m tests.mutations host-is-compared one-host

tries these alone. A guard nobody misses, one that is not where the table says, and an attack that
does not fail with all guards on are told, and the end is 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from tests.mutations.guard import Gone, Guard, check
from tests.mutations.runner import Result, run
from tests.mutations.table import GUARDS

_TRIES = 3


def main() -> int:
    """Try what is asked for, or everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations")
    parser.add_argument("guards", nargs="*", metavar="GUARD", help="all of them, if none is named")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each")
    asked = parser.parse_args()
    if unknown := set(asked.guards) - GUARDS.keys():
        parser.error(f"there is no guard {', '.join(sorted(unknown))}")
    wrong = 0
    for name, verdict, details, seconds in judged(
        [GUARDS[name] for name in asked.guards or GUARDS]
    ):
        wrong += bool(details)
        if asked.json:
            print(json.dumps([name, verdict, details]), flush=True)
        else:
            print(f"{seconds:5.1f} s  {name or 'all guards on'}: {verdict}", flush=True)
            print(details, end="\n" if details else "", flush=True)
    if not asked.json:
        print(f"{wrong} wrong" if wrong else "every guard is missed")
    return int(bool(wrong))


def judged(guards: Sequence[Guard]) -> Iterator[tuple[str, str, str, float]]:
    """For each guard its name, what came of it, what is wrong with that if anything, and how long
    it took; last of all, with an empty name, the same with all of them on."""
    there = []
    for guard in guards:
        try:
            check(guard)
        except Gone as gone:
            yield guard.name, "is not there", str(gone), 0.0
        else:
            there.append(guard)
    attacks = sorted({attack for guard in guards for attack in guard.attacks})
    jobs: list[tuple[str, Sequence[str]]] = [("", attacks)]
    jobs += [(guard.name, guard.attacks) for guard in there]
    # What an attack needs to come in one go may come in two where the machine is busy: a guard
    # that nobody misses is tried again, and one that is missed once is missed. So are they all
    # together with every guard on; each is also a test by itself, which is not tried again.
    for tries in range(_TRIES, 0, -1):
        again = []
        for result in run(jobs):
            verdict, details = verdict_on(result)
            if details and tries > 1:
                again += [job for job in jobs if job[0] == result.guard]
            else:
                yield result.guard, verdict, details, result.seconds
        jobs = again


def verdict_on(result: Result) -> tuple[str, str]:
    """What came of it, and what is wrong with that, if anything."""
    seen = result.seen
    if seen.other:
        return "cannot be told", "\n".join([*seen.other, result.output])
    if result.guard:
        if seen.failed:
            return f"{seen.failed[0]} fails", ""
        return "nobody misses it", f"passed all the same: {', '.join(seen.passed) or 'nothing'}"
    if seen.failed:
        return "some attacks succeed", "\n".join([*seen.failed, result.output])
    return f"{len(seen.passed)} tests pass", ""


if __name__ == "__main__":
    sys.exit(main())
