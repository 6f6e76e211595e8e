"""`make bench`: what Moat costs, as ratios measured in one run."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT / "demo")]

from tests.bench.request import bench_request  # noqa: E402  # the path is set first
from tests.bench.start import bench_codex, bench_help, bench_run  # noqa: E402


def main() -> None:
    """Measure everything."""
    home = ROOT / ".cache" / "bench"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    print(f"{platform.platform()}, Python {platform.python_version()}; medians of one run")
    bench_help()
    bench_run()
    bench_request()
    bench_codex(home)


if __name__ == "__main__":
    main()
