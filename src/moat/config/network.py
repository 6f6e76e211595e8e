"""What settings files say of the network; values alone, as `network_schema` reads them."""

from __future__ import annotations

from typing import Literal, NamedTuple

NetworkPolicy = Literal["strict", "ask", "permissive"]
"""How a request is met that no rule is about: refused, asked about, or let through."""


class NetworkRule(NamedTuple):
    """One entry of a list of rules."""

    host: str
    """As HostPattern writes it, or a group such as @npm; a denial keeps the port 443."""
    action: Literal["allow", "deny"] = "allow"
    paths: tuple[str, ...] = ()
    """Lines about requests, each as PathRule writes it; none for all requests."""

    @property
    def group(self) -> str | None:
        """The group it names, without its @; None if it names a host."""
        return self.host[1:] if self.host.startswith("@") else None

    def __str__(self) -> str:
        if self.paths:
            return f"{self.host} ({', '.join(self.paths)})"
        return f"deny {self.host}" if self.action == "deny" else self.host
