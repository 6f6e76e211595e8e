"""`make bench`: what Moat costs, as ratios measured in one run.

    .venv/bin/python -m tests.bench --only small --quick --proxies nginx,moat

measures small requests alone, in half a minute, against nginx alone.
"""

from __future__ import annotations

import argparse
import gc
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT / "demo")]

from tests.bench import small  # noqa: E402  # the path is set first
from tests.bench.measure import Pace  # noqa: E402
from tests.bench.report import Result  # noqa: E402
from tests.bench.start import bench_codex, bench_help, bench_run  # noqa: E402
from tests.bench.targets import PROXIES, Field, field  # noqa: E402

_STARTS: dict[str, Callable[[], None]] = {
    "help": bench_help,
    "run": bench_run,
    "codex": lambda: bench_codex(ROOT / ".cache" / "bench"),
}
_SECTIONS: dict[str, Callable[[Field, Pace], Result]] = {
    "small": small.small,
    "connections": small.connections,
}


def main() -> None:
    """Measure what is asked for, or everything."""
    asked = _arguments()
    (ROOT / ".cache" / "bench").mkdir(parents=True, exist_ok=True, mode=0o700)
    print(f"{platform.platform()}, Python {platform.python_version()}; medians of one run")
    for name in asked.only:
        if name in _STARTS:
            _STARTS[name]()
    sections = {name: _SECTIONS[name] for name in asked.only if name in _SECTIONS}
    if sections:
        _compare(sections, asked.proxies, Pace(3, 0.5) if asked.quick else Pace(7, 2.0))


def _compare(
    sections: dict[str, Callable[[Field, Pace], Result]], proxies: list[str], pace: Pace
) -> None:
    with tempfile.TemporaryDirectory() as directory, field(Path(directory), proxies) as there:
        for reason in there.missing.values():
            print(reason)
        gc.freeze()
        gc.disable()  # the clients' own pauses are not the proxies'
        for section in sections.values():
            print(section(there, pace).text(), flush=True)
            gc.collect()


def _arguments() -> argparse.Namespace:
    names = [*_STARTS, *_SECTIONS]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", metavar="NAME,…", help=f"some of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--proxies", metavar="NAME,…", help=f"some of {', '.join(PROXIES)}")
    asked = parser.parse_args()
    asked.only = _some_of(parser, asked.only, names)
    asked.proxies = _some_of(parser, asked.proxies, PROXIES)
    return asked


def _some_of(parser: argparse.ArgumentParser, text: str | None, names: object) -> list[str]:
    known = list(names)  # type: ignore[call-overload]
    wanted = known if text is None else text.split(",")
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"there is no {unknown[0]!r}: {', '.join(known)}")
    return [name for name in known if name in wanted]


if __name__ == "__main__":
    main()
