"""`moat doctor`: is this machine ready?"""

from __future__ import annotations

from dataclasses import asdict

from moat.cli.options import Parser, add_json, find_home
from moat.cli.output import show_json, show_lines
from moat.core.finding import Finding
from moat.doctor.checks import run_sections

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def main(arguments: list[str]) -> int:
    """Check, and say; 1 if a run would fail."""
    parser = Parser("doctor", "Check that this machine is ready for runs. Changes nothing.")
    add_json(parser)
    args = parser.parse_args(arguments)
    sections = run_sections(find_home())
    if args.json:
        show_json(
            [
                {"section": name, **asdict(finding)}
                for name, findings in sections
                for finding in findings
            ]
        )
    else:
        _show(sections)
    return int(any(item.status == "fail" for _, findings in sections for item in findings))


def _show(sections: list[tuple[str, list[Finding]]]) -> None:
    width = max(len(finding.subject) for _, findings in sections for finding in findings)
    for number, (name, findings) in enumerate(sections):
        print(("\n" if number else "") + name)
        for finding in findings:
            mark = _MARKS[finding.status]
            show_lines([f"  {mark}  {finding.subject.ljust(width)}  {finding.detail}"])
            if finding.hint is not None:
                show_lines([f"        {' ' * width}  hint: {finding.hint}"])
