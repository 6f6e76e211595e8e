"""Which credential goes into which request.

A credential is bound to one host and port, over https alone. What the client sent in the
place of the credential is always taken out first: a request to a bound destination carries
the run's credential or none, never one the agent brought along.
"""

from __future__ import annotations

from dataclasses import dataclass

from moat.core.hosts import Destination, HostPattern
from moat.core.secret import Secret
from moat.engine.messages import Request


@dataclass(frozen=True, slots=True)
class Injection:
    """Set one header from one grant, at one place.

    `format` holds `{}` where the secret goes; `strips` names further headers in which a client
    could bring a credential of its own.
    """

    grant: str
    pattern: HostPattern
    header: str
    format: str = "{}"
    strips: tuple[str, ...] = ()

    def applies_to(self, destination: Destination) -> bool:
        """Whether a request to this destination gets the credential."""
        return destination.scheme == "https" and self.pattern.matches(destination)

    def apply(self, request: Request, secret: Secret) -> Request:
        """The request as it goes out."""
        value = self.format.replace("{}", secret.reveal())
        return request.without_headers(self.strips).with_header(self.header, value)
