"""Options that say together where a credential goes: `--host A --header X --host B`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from moat.errors import UsageError


class InOrder(argparse.Action):
    """Adds the name of the option and its value to a list."""

    def __call__(
        self, _parser: Any, namespace: Any, values: Any, _option: str | None = None
    ) -> None:
        """Keep it."""
        getattr(namespace, self.dest).append((self.option_strings[0].removeprefix("--"), values))


def grouped(typed: Sequence[tuple[str, str]], opening: str) -> tuple[Mapping[str, str], ...]:
    """One mapping a binding, each of which begins with the option `opening`. If it was typed once
    the order plays no part. Raises UsageError."""
    alone = sum(name == opening for name, _ in typed) == 1
    bindings: list[dict[str, str]] = [{}] if alone else []
    for name, value in typed:
        if name == opening and not alone:
            bindings.append({})
        if not bindings:
            raise UsageError(
                f"--{name} stands before the --{opening} it is for",
                hint=f"begin with --{opening}, and what is for it after it",
            )
        if name in bindings[-1]:
            raise UsageError(
                f"--{name} is given twice for one --{opening}",
                hint=f"give the --{opening} again before it",
            )
        bindings[-1][name] = value
    return tuple(bindings)
