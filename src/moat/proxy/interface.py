"""What the proxy is handed by the run: it knows no vault, no ledger and no provider."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Protocol

from moat.core.secret import Secret
from moat.engine.exchange import Entry, Measured
from moat.engine.messages import Request
from moat.engine.policy import Verdict
from moat.engine.session import RunSession
from moat.proxy.live import Live
from moat.proxy.silence import IDLE_TIMEOUT
from moat.proxy.token import Strangers
from moat.proxy.upstream import Upstreams


class CredentialSource(Protocol):
    """Where secrets come from."""

    async def resolve(self, grant: str) -> Secret:
        """The secret of a grant. Raises MoatError."""
        ...


class Recorder(Protocol):
    """Where what happened goes."""

    def record(self, number: int, entry: Entry, measured: Measured) -> None:
        """Write down an exchange, replacing what was written under its number.

        Raises RecordError when it cannot, after which nothing may be forwarded.
        """
        ...


class Leaves(Protocol):
    """Where server-side TLS contexts come from."""

    def context_for(self, host: str) -> ssl.SSLContext:
        """The context to meet a client with that asked for a host."""
        ...


class Asker(Protocol):
    """Who decides what the policy leaves to a person."""

    async def ask(self, request: Request, verdict: Verdict) -> bool:
        """Whether a request may go. Bounded in time; cancelled when the client goes away."""
        ...


@dataclass(slots=True)
class Handed:
    """Everything the data path works with; `session` is replaced when the policy changes.

    `idle_timeout` is how many seconds an upstream may be silent while a client waits for it.
    Without an `asker`, what would be asked is denied. `token` is what a client must show in
    Proxy-Authorization, if it must, and `strangers` are those who did not; `live` is what is going
    on, `streams` how much of it over HTTP/2.
    """

    session: RunSession
    credentials: CredentialSource
    recorder: Recorder
    leaves: Leaves
    upstreams: Upstreams
    idle_timeout: float = IDLE_TIMEOUT
    asker: Asker | None = None
    token: Secret | None = None
    strangers: Strangers = field(default_factory=Strangers)
    live: Live = field(default_factory=Live)
    exchanges: int = 0
    streams: int = 0

    def next_number(self) -> int:
        """A number for the next exchange of this run."""
        self.exchanges += 1
        return self.exchanges
