"""Which credential goes into which request.

A credential is bound to one host and port, over https alone. What the client sent in the
place of the credential is always taken out first: a request to a bound destination carries
the run's credential or none, never one the agent brought along.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from moat.core.hosts import Destination, HostPattern
from moat.core.secret import Secret
from moat.engine.messages import Request

# RFC 9110 section 5.5, less what is not ASCII: a line end would begin another header.
_FIT = re.compile(r"[\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class Injection:
    """Set one header from one grant, at one place.

    `format` holds `{}` where the secret goes; `strips` names further headers in which a client
    could bring a credential of its own; `headers` go with the credential and are no secret, such
    as the account that pays.
    """

    grant: str
    pattern: HostPattern
    header: str
    format: str = "{}"
    strips: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    def applies_to(self, destination: Destination) -> bool:
        """Whether a request to this destination gets the credential."""
        return destination.scheme == "https" and self.pattern.matches(destination)

    def strip(self, request: Request) -> Request:
        """The request without whatever the client put in the place of the credential."""
        return request.without_headers((self.header, *self.strips))

    def apply(self, request: Request, secret: Secret) -> Request:
        """The request as it goes out. Raises ValueError, without the value, for an unfit one."""
        value = secret.reveal()
        if not _FIT.fullmatch(value):
            raise ValueError(f"the secret of {self.grant} cannot stand in a header")
        for name, text in self.headers:
            request = request.with_header(name, text)
        return request.with_header(self.header, self.format.replace("{}", value))
