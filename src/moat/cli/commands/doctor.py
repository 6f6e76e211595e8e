"""`moat doctor`: is this machine ready?"""

from __future__ import annotations

from dataclasses import asdict

from moat.cli.options import Parser, add_json, find_home
from moat.cli.output import show_json
from moat.doctor.checks import run_checks

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def main(arguments: list[str]) -> int:
    """Check, and say; 1 if a run would fail."""
    parser = Parser("doctor", "Check that this machine is ready for runs. Changes nothing.")
    add_json(parser)
    args = parser.parse_args(arguments)
    findings = run_checks(find_home())
    if args.json:
        show_json([asdict(finding) for finding in findings])
    else:
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            print(f"{_MARKS[finding.status]}  {finding.subject.ljust(width)}  {finding.detail}")
            if finding.hint is not None:
                print(f"      {' ' * width}  hint: {finding.hint}")
    return int(any(finding.status == "fail" for finding in findings))
