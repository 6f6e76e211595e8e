"""Runs tests with one guard off, each time in a process of its own.

The processes are forked from one that has imported what all of them need but the product: to
begin anew for each guard would take longer than the tests do.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NoReturn

ROOT = Path(__file__).parent.parent.parent
# Of plugins, what the configuration speaks of; others take longer to load than a test.
_OPTIONS = (
    "-q", "--tb=short", "--disable-plugin-autoload", "-p", "pytest_timeout",
    "-p", "no:cacheprovider", "-p", "tests.mutations.plugin",
    "-W", "ignore:Module already imported",  # which is meant
)  # fmt: skip
# What the tests need of others.
_USED = (
    "aiohttp", "asyncio", "brotli", "cryptography.x509", "h2.connection", "hypothesis.strategies",
    "pygments.lexers", "pytest", "ssl", "uvloop", "yaml", "zstandard",
)  # fmt: skip
# Most take a second. A guard without which everything hangs was noticed as well.
_SECONDS = 120.0


@dataclass
class Seen:
    """What became of some tests: ids of those that passed, failed, and whatever else there was."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)


class _Watching:
    """Sees what becomes of tests; `say` is called with all of it as soon as more is of no use."""

    def __init__(self, say: Callable[[Seen], None] | None) -> None:
        self.seen = Seen()
        self._say = say

    def pytest_runtest_logreport(self, report) -> None:  # type: ignore[no-untyped-def]
        """Take a test's report in; a failure is one of the test itself."""
        seen = self.seen
        if hasattr(report, "wasxfail") or report.skipped:
            seen.other.append(f"{report.nodeid}: is not expected to pass, or skipped")
        elif report.when == "call":
            (seen.passed if report.passed else seen.failed).append(report.nodeid)
        elif report.failed:
            seen.other.append(f"{report.nodeid}: its {report.when} failed")
        if seen.failed and self._say is not None:
            self._say(seen)

    def pytest_collectreport(self, report) -> None:  # type: ignore[no-untyped-def]
        """What cannot be collected is no test that fails."""
        if report.failed:
            self.seen.other.append(f"{report.nodeid}: cannot be collected")


@dataclass(frozen=True)
class Result:
    """How it went with one guard off, or with all of them on (`guard` is empty then)."""

    guard: str
    seen: Seen
    output: str
    seconds: float


def run(
    jobs: Iterable[tuple[str, Sequence[str]]], *, at_once: int = 0, seconds: float = _SECONDS
) -> Iterator[Result]:
    """Run tests with guards off, given as the guard's name ("" for none) and ids of tests.

    Nothing but this runs in this process meanwhile, as it forks. Results come as they are there.
    """
    _prepare()
    rest = list(reversed(list(jobs)))
    running: dict[int, _Child] = {}
    # Most of them wait for something that does not come.
    most = at_once or 3 * len(os.sched_getaffinity(0))
    with selectors.DefaultSelector() as selector:
        while rest or running:
            while rest and len(running) < most:
                child = _Child(*rest.pop())
                running[child.ended] = child
                selector.register(child.ended, selectors.EVENT_READ)
            for key, _ in selector.select(0.5):
                child = running.pop(key.fd)
                selector.unregister(key.fd)
                yield child.result()
            for child in running.values():
                child.end_if_over(seconds)


def _prepare() -> None:
    """Import what every process needs."""
    sys.path[:0] = [str(ROOT)]
    os.chdir(ROOT)
    from _pytest.config import default_plugins

    for name in (*_USED, *(f"_pytest.{plugin}" for plugin in default_plugins)):
        import_module(name)


class _Child:
    """One process; `ended` is a descriptor that can be read once it is over."""

    def __init__(self, guard: str, tests: Sequence[str]) -> None:
        self._guard = guard
        self._began = time.monotonic()
        self._output: IO[bytes] = TemporaryFile()  # noqa: SIM115  # closed with the result
        self.ended, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self.ended)
            _be_child(guard, tests, self._output.fileno(), writing)
        os.close(writing)

    def end_if_over(self, seconds: float) -> None:
        """End it if it has had its time."""
        if time.monotonic() - self._began > seconds:
            os.kill(self._pid, signal.SIGKILL)

    def result(self) -> Result:
        """What came of it."""
        with os.fdopen(self.ended, "rb") as pipe:
            said = pipe.read()
        os.waitpid(self._pid, 0)
        self._output.seek(0)
        output = self._output.read().decode(errors="replace")
        self._output.close()
        seen = (
            Seen(**json.loads(said)) if said else Seen(other=["the tests did not come to an end"])
        )
        return Result(self._guard, seen, output, time.monotonic() - self._began)


def _be_child(guard: str, tests: Sequence[str], output: int, result: int) -> None:
    """Run tests, say what came of it, and never return."""
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        for old, new in ((null, 0), (output, 1), (output, 2)):
            os.dup2(old, new)
        import pytest

        def say(seen: Seen) -> NoReturn:
            os.write(result, json.dumps(asdict(seen)).encode())
            os._exit(0)  # what is left to end would wait for what does not come

        watching = _Watching(say if guard else None)
        options = ("--mutate", guard) if guard else ()
        code = pytest.main([*_OPTIONS, *options, *tests], plugins=[watching])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            watching.seen.other.append(f"pytest ended with {code}")
        say(watching.seen)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(0)
