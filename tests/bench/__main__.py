"""`make bench`: what Moat costs, as ratios measured in one run; `make bench-docs` writes it down.

    .venv/bin/python -m tests.bench --only small --quick --proxies nginx,moat

measures small requests alone, in half a minute, against nginx alone. The other sections are
named by --help.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT / "demo")]

from tests.bench import page, runs, small, start  # noqa: E402  # the path is set first
from tests.bench.bulk import bulk  # noqa: E402
from tests.bench.events import events  # noqa: E402
from tests.bench.measure import Pace  # noqa: E402
from tests.bench.memory import memory  # noqa: E402
from tests.bench.report import Result  # noqa: E402
from tests.bench.targets import CACHE, PROXIES, Field, field  # noqa: E402

_PAGE = ROOT / "docs" / "reference" / "performance.md"
_WHOLE, _QUICK = Pace(7, 1.5), Pace(3, 0.5)

_STARTS: dict[str, Callable[[], Result]] = {
    "help": start.bench_help,
    "run": partial(start.bench_run, CACHE),
    "crowd": runs.crowd,
    "idle": runs.idle_memory,
    "keys": runs.keys,
    "codex": partial(start.bench_codex, CACHE),
}
_SECTIONS: dict[str, Callable[[Field, Pace], Result]] = {
    "small": small.small,
    "connections": small.connections,
    "bulk": bulk,
    "events": events,
    "memory": memory,
}


def main() -> None:
    """Measure what is asked for, or everything."""
    asked = _arguments()
    CACHE.mkdir(parents=True, exist_ok=True, mode=0o700)
    pace = _QUICK if asked.quick else _WHOLE
    lines = page.machine(CACHE)
    lines.append(f"medians of {pace.rounds} rounds of {pace.seconds:g} s")
    print("\n".join(lines), flush=True)
    results = []
    for name in asked.only:
        result = _STARTS[name]() if name in _STARTS else _compare(name, asked.proxies, pace)
        results.append(result)
        print(result.text(), flush=True)
    if asked.write:
        page.write(_PAGE, lines, results)


def _compare(name: str, proxies: Sequence[str], pace: Pace) -> Result:
    """A section, with processes that have done nothing else before."""
    with tempfile.TemporaryDirectory() as directory, field(Path(directory), proxies) as there:
        for reason in there.missing:
            print(reason)
        gc.disable()  # the clients' own pauses are not the proxies'
        try:
            return _SECTIONS[name](there, pace)
        finally:
            gc.enable()


def _arguments() -> argparse.Namespace:
    names = [*_STARTS, *_SECTIONS]
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="NAME,…", help=f"some of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--proxies", metavar="NAME,…", help=f"some of {', '.join(PROXIES)}")
    parser.add_argument("--write", action="store_true", help=f"put everything into {_PAGE.name}")
    asked = parser.parse_args()
    if asked.write and (asked.only or asked.proxies):
        parser.error("the page holds everything: --write goes without --only and --proxies")
    asked.only = _some_of(parser, asked.only, names)
    asked.proxies = _some_of(parser, asked.proxies, PROXIES)
    return asked


def _some_of(parser: argparse.ArgumentParser, text: str | None, known: Sequence[str]) -> list[str]:
    wanted = known if text is None else text.split(",")
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"there is no {unknown[0]!r}: {', '.join(known)}")
    return [name for name in known if name in wanted]


if __name__ == "__main__":
    main()
