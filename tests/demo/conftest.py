"""Where the real Codex is; a machine without it fails these tests rather than skips them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def codex_binary() -> Path:
    """The Codex executable that MOAT_TEST_CODEX names."""
    named = os.environ.get("MOAT_TEST_CODEX")
    assert named, "set MOAT_TEST_CODEX to the path of the codex executable"
    return Path(named)
