"""Which credential goes into which request, and how.

A credential is bound to one host and port, over https alone, and to some of its paths if that was
said. What the client sent in the place of the credential is always taken out first: a request to
a bound destination carries the run's credential or none, never one the agent brought along.

There are five kinds, and no others:

    set-header     the secret becomes the value of a header, whatever stood there
    strip-headers  headers are taken out, and nothing is put in
    in-header      the placeholder in a header's value is replaced, also within Basic credentials
    in-query       the placeholder in a query parameter is replaced
    in-body        the placeholder in a body is replaced, as the body streams by

The upgrade to a WebSocket is a request like any other: what goes into heads goes into it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from moat.core.hosts import Destination, HostPattern
from moat.core.secret import Secret
from moat.engine import substitute
from moat.engine.messages import Headers, Request
from moat.engine.paths import canonical_path, segments
from moat.engine.patterns import PathPattern

if TYPE_CHECKING:
    from moat.engine.transform import Transform

Kind = Literal["set-header", "strip-headers", "in-header", "in-query", "in-body"]

# RFC 9110 section 5.5, less what is not ASCII: a line end would begin another header.
_FIT = re.compile(r"[\x20-\x7e]+")


def _leads_to(target: str, pattern: PathPattern) -> bool:
    """Whether a path is meant; one that servers read in more than one way never is."""
    try:
        return pattern.matches(segments(canonical_path(target.partition("?")[0])))
    except ValueError:
        return False


def folded(name: str) -> str:
    """A header's name as those servers compare it that make variables of headers: RFC 3875,
    section 4.1.18, takes `_` for `-`."""
    return name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Injection:
    """What one grant does at one place.

    `header` is set or looked into, `parameter` is looked into, and `placeholder` is what is looked
    for, as the kind has it. `format` holds `{}` where the secret goes in a header that is set;
    `strips` names further headers in which a client could bring a credential of its own;
    `headers` are set besides, and are no secret, such as the account that pays. Without a `path`
    every path is meant.
    """

    grant: str
    pattern: HostPattern
    header: str = ""
    format: str = "{}"
    strips: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    kind: Kind = "set-header"
    parameter: str = ""
    placeholder: str = ""
    path: PathPattern | None = None

    def __post_init__(self) -> None:
        needed = {
            "set-header": self.header,
            "strip-headers": self.strips,
            "in-header": self.header and self.placeholder,
            "in-query": self.parameter and self.placeholder,
            "in-body": self.placeholder,
        }
        if not needed[self.kind]:
            raise ValueError(f"an injection of kind {self.kind} lacks what it is about")

    @property
    def bound_to(self) -> str:
        """Where it is bound to, for a person to read."""
        return f"https://{self.pattern}{self.path or ''}"

    @property
    def place(self) -> str:
        """Where the secret goes, for a person to read."""
        match self.kind:
            case "set-header" | "in-header":
                return self.header
            case "in-query":
                return f"?{self.parameter}="
            case "in-body":
                return "body"
        return ""

    @property
    def slot(self) -> tuple[str, str] | None:
        """The place of which a request has one secret at most; None where none is put in."""
        match self.kind:
            case "set-header" | "in-header":
                return "header", folded(self.header)
            case "in-query":
                return "query", self.parameter
            case "in-body":
                return "body", self.placeholder
        return None

    @property
    def changes_body(self) -> bool:
        """Whether the body changes on its way, and its length with it."""
        return self.kind == "in-body"

    def applies_to(self, destination: Destination, target: str | None = None) -> bool:
        """Whether this is about a request to a destination and target; without a target, only
        what is for every path is."""
        if destination.scheme != "https" or not self.pattern.matches(destination):
            return False
        if self.path is None:
            return True
        return target is not None and _leads_to(target, self.path)

    def wants(self, request: Request) -> bool:
        """Whether the secret goes into this request, as far as its head tells."""
        match self.kind:
            case "set-header":
                return True
            case "in-body":
                return request.body != 0
            case "in-header":
                return any(
                    self._is_it(name) and substitute.holds(value, self.placeholder.encode())
                    for name, value in request.headers
                )
            case "in-query":
                return substitute.holds_in_query(request.target, self.parameter, self.placeholder)
        return False

    @property
    def names(self) -> tuple[str, ...]:
        """The headers that are set."""
        own = (self.header,) if self.kind == "set-header" else ()
        return (*own, *(name for name, _ in self.headers))

    def lines(self, secret: Secret) -> list[tuple[bytes, bytes]]:
        """The headers that are set, with the secret. Raises ValueError for an unfit one."""
        pairs = [*self.headers]
        if self.kind == "set-header":
            pairs.append((self.header, self.format.replace("{}", self._fit(secret.reveal()))))
        return [(name.encode("ascii"), text.encode("latin-1")) for name, text in pairs]

    def strip(self, request: Request) -> Request:
        """The request without whatever the client put in the place of the credential."""
        names = self.strips
        if self.kind == "set-header":
            names = (self.header, *names)
        elif self.kind == "in-header":
            request = self._filled(request, self.placeholder)
        elif self.kind == "in-query" and "?" in request.target:
            target = substitute.without_others(request.target, self.parameter, self.placeholder)
            request = request._replace(target=target)
        return request.without_headers(names) if names else request

    def apply(self, request: Request, secret: Secret) -> Request:
        """The head as it goes out. Raises ValueError, without the value, for an unfit secret."""
        value = secret.reveal()
        for name, text in self.headers:
            request = request.with_header(name, text)
        match self.kind:
            case "set-header":
                written = self.format.replace("{}", self._fit(value))
                return request.with_header(self.header, written)
            case "in-header":
                return self._filled(request, self._fit(value))
            case "in-query":
                target = substitute.in_query(
                    request.target, self.parameter, self.placeholder, value
                )
                return request._replace(target=target)
            case "in-body" if request.body:
                return request._replace(body=None)  # of whatever length it will be
        return request

    def body_transform(self, secret: Secret, headers: Headers = ()) -> Transform:
        """What the body of a request streams through; `headers` are the request's, and say how a
        secret is written in it."""
        written = substitute.as_written_in(headers, secret.reveal())
        return substitute.Replacing(self.placeholder.encode(), written)

    def _filled(self, request: Request, written: str) -> Request:
        """With something in the place of the placeholder; values without one are left out."""
        kept = []
        for name, value in request.headers:
            if self._is_it(name):
                filled = substitute.in_value(value, self.placeholder.encode(), written.encode())
                if filled is not None:
                    kept.append((name, filled))
            else:
                kept.append((name, value))
        return request.with_headers(tuple(kept))

    def _is_it(self, name: bytes) -> bool:
        return folded(name.decode("latin-1")) == folded(self.header)

    def _fit(self, value: str) -> str:
        if not _FIT.fullmatch(value):
            raise ValueError(f"the secret of {self.grant} cannot stand in a header")
        return value
