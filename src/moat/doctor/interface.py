"""What a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from moat.config.paths import Home
from moat.core.finding import Finding

Check = Callable[[Home], Iterable[Finding]]
