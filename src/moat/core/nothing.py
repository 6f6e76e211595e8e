"""The default of mappings in values that are never changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# One for all, and shared: who holds it has it as a Mapping, which cannot be written to.
NOTHING: Final[Mapping[Any, Any]] = {}
