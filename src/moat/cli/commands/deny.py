"""`moat deny`: let a live run reach a host no more."""

from __future__ import annotations

from moat.cli.live import change

DESCRIPTION = (
    "Let a live run reach a host no more: what waits for it is refused, what is open is closed."
)
EPILOG = """\
examples:
  moat deny github.com                      the only live run, to its end
  moat deny github.com:22 --run fix-login
  moat deny github.com --once               what waits for it now, and nothing later
  moat deny "*.example.com" --always        this run, and all to come
  moat deny api.example.com DELETE "/**"    some requests of those that are allowed
  moat deny @github                         the hosts of a group

Without a port, every port is denied.
"""


def main(arguments: list[str]) -> int:
    """Deny it."""
    return change("deny", DESCRIPTION, EPILOG, arguments)
