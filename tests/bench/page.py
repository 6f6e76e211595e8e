"""The measured part of docs/reference/performance.md."""

from __future__ import annotations

import os
import platform
import re
import ssl
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from tests.bench import mitm, nginx
from tests.bench.report import Goal, Result

_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"


def machine(cache: Path) -> list[str]:
    """What it was measured on and with; nothing that tells whose machine it is."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE)
    virtual = " of a virtual machine" if re.search(r"^flags.*\bhypervisor\b", cpuinfo, re.M) else ""
    kernel = re.match(r"[\d.]+\d", platform.release())
    openssl = " ".join(ssl.OPENSSL_VERSION.split()[:2])
    others = []
    for name, module in (("nginx", nginx), ("mitmproxy", mitm)):
        program = module.find(cache)
        others.append(f"{name} {module.version(program)}" if program else f"no {name}")
    return [
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} processors{virtual}, "
        f"Linux {kernel[0] if kernel else ''}",
        f"Python {platform.python_version()}, uvloop {version('uvloop')}, {openssl}, "
        + ", ".join(others),
    ]


def write(page: Path, lines: Sequence[str], results: Iterable[Result]) -> None:
    """Put what was measured between the marks of the page."""
    before, _, rest = page.read_text().partition(_BEGIN)
    _, found, after = rest.partition(_END)
    if not found:
        raise RuntimeError(f"{page.name} has no place for what was measured")
    results = list(results)
    goals = [goal for result in results for goal in result.goals]
    parts = ["\n".join(f"- {line}" for line in lines), _goals(goals)]
    parts += [table.markdown() for result in results for table in result.tables]
    page.write_text("\n\n".join([before + _BEGIN, *parts, _END]) + after)


def _goals(goals: Sequence[Goal]) -> str:
    rows = [f"| {goal.what} | {goal.aim} | {goal.result()} |" for goal in goals]
    return "\n".join(["### Goals", "", "| | Goal | Measured |", "|---|---|---|", *rows])
