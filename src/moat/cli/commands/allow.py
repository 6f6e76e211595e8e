"""`moat allow`: let a live run reach a host."""

from __future__ import annotations

from moat.cli.live import change

DESCRIPTION = (
    "Let a live run reach a host, at once and without a restart; what waits for it goes on."
)
EPILOG = """\
examples:
  moat allow github.com                     the only live run, to its end
  moat allow "*.example.com:8443" --run fix-login
  moat allow localhost:5432 --once          a single request
  moat allow git.example.com --always       this run, and all to come
  moat allow api.example.com GET "/v1/**"   some requests, and no others for that
  moat allow @npm                           the hosts of a group: moat policy groups

Without a port, port 443 is allowed.
"""


def main(arguments: list[str]) -> int:
    """Allow it."""
    return change("allow", DESCRIPTION, EPILOG, arguments)
