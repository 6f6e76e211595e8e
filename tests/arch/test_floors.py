"""The floor plan is a test: imports go down only, and what promises to do no I/O does none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_imports_go_down_only() -> None:
    """import-linter finds every contract of pyproject.toml kept."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    done = subprocess.run(
        [*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert " 0 broken." in done.stdout


def test_every_module_has_a_docstring() -> None:
    """A file says what it is for in its first line; `__init__.py` may be empty."""
    silent = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "src").rglob("*.py")
        if not path.read_text().startswith('"""') and path.read_text()
    ]
    assert [] == silent
