"""`make soak`: mixed traffic through a real proxy, for as long as one has time.

    .venv/bin/python -m tests.soak --seconds 300 --seed 7

The seed says which scenes are played and in which order; how they come together is up to the
machine. Everything that is wrong is told, and the end is 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.soak.run import Soak


def main() -> int:
    """Soak, and tell what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--clients", type=int, default=8, help="at once")
    parser.add_argument("--fault", action="append", default=[], help="plant it (tests.soak.proxy)")
    asked = parser.parse_args()
    print(f"--seconds {asked.seconds:g} --seed {asked.seed} --clients {asked.clients}", flush=True)
    with tempfile.TemporaryDirectory(prefix="moat-soak-") as place:
        told = Soak(
            Path(place),
            seed=asked.seed,
            seconds=asked.seconds,
            clients=asked.clients,
            faults=asked.fault,
            say=lambda line: print(line, flush=True),
        ).run()
    for check, what in told.complaints[-40:]:
        print(f"{check}: {what}")
    counted = ", ".join(
        f"{count} {check}"
        for check, count in Counter([check for check, _ in told.complaints]).items()
    )
    print(f"{told.scenes} scenes, {told.exchanges} exchanges: {counted or 'nothing wrong'}")
    return int(bool(told.complaints))


if __name__ == "__main__":
    sys.exit(main())
