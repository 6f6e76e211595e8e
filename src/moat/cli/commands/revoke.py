"""`moat revoke`: remove a stored credential."""

from __future__ import annotations

from moat.cli.options import Parser, find_home, open_context
from moat.cli.output import say
from moat.errors import GrantError
from moat.planning.stored import provider_of, what_is_stored
from moat.vault.store import Store


def main(arguments: list[str]) -> int:
    """Remove it."""
    parser = Parser("revoke", "Remove a stored credential. Runs that hold it keep it to their end.")
    parser.add_argument("name", metavar="NAME", help="as in: moat grant list")
    args = parser.parse_args(arguments)
    store = Store(find_home().credentials)
    ref = provider_of(store, args.name, wanted=False).grant_ref
    open_context()
    if not store.remove(ref):
        hint = f"{what_is_stored(store)}; see: moat grant list"
        raise GrantError(f"there is no grant for {ref}", hint=hint)
    say(f"revoked {ref}: it is removed from this machine; the key itself is still good elsewhere")
    return 0
