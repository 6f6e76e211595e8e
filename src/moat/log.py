"""Moat's own log: what a maintainer needs when something went wrong that should not have."""

from __future__ import annotations

import logging
from pathlib import Path


def get(name: str) -> logging.Logger:
    """The logger of a module."""
    return logging.getLogger(name)


def to_file(path: Path) -> None:
    """Send what is logged to a file."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("moat")
    root.addHandler(handler)
    root.setLevel(logging.INFO)
