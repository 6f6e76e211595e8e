"""What was measured, as tables and as goals that are met or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Row = tuple[str, Sequence[float | None]]


@dataclass(frozen=True)
class Table:
    """One table: a name and its figures a row; None where there is nothing to measure."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    digits: int = 0

    def text(self) -> str:
        """For a terminal."""
        width = max(len(name) for name, _ in self.rows) + 2
        columns = [max(len(column), 9) + 2 for column in self.columns]
        heads = (f"{name:>{size}}" for name, size in zip(self.columns, columns, strict=True))
        lines = [f"\n{self.title}", "  " + " " * width + "".join(heads)]
        for name, values in self.rows:
            cells = zip(values, columns, strict=True)
            figures = (f"{self._figure(value):>{size}}" for value, size in cells)
            lines.append(f"  {name:<{width}}" + "".join(figures))
        return "\n".join(lines)

    def markdown(self) -> str:
        """For a page."""
        lines = [f"### {self.title}", "", f"| | {' | '.join(self.columns)} |"]
        lines.append("|---|" + "---:|" * len(self.columns))
        for name, values in self.rows:
            lines.append(f"| {name} | {' | '.join(self._figure(value) for value in values)} |")
        return "\n".join(lines)

    def _figure(self, value: float | None) -> str:
        return "-" if value is None else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class Goal:
    """Something that was to be at most so much; `value` None where it could not be measured."""

    what: str
    value: float | None
    limit: float
    unit: str

    def result(self) -> str:
        """The figure and what it says."""
        if self.value is None:
            return "not measured"
        return f"{self.value:.2f}{self.unit}, {'met' if self.value <= self.limit else 'NOT met'}"

    @property
    def aim(self) -> str:
        """The limit as it is written."""
        return f"at most {self.limit:.3g}{self.unit}"


@dataclass
class Result:
    """What one section brought."""

    tables: list[Table] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)

    def text(self) -> str:
        """For a terminal."""
        parts = [table.text() for table in self.tables]
        if self.goals:
            width = max(len(goal.what) for goal in self.goals) + 2
            parts.append("")
            parts += [
                f"  {goal.what:<{width}}{goal.aim:<18}  {goal.result()}" for goal in self.goals
            ]
        return "\n".join(parts)


def ratio(value: float | None, base: float | None) -> float | None:
    """One by the other, where both are known."""
    return value / base if value is not None and base else None
