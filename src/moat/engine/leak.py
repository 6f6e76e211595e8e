"""A placeholder on its way to a place its grant is not for: refused, and raised as an alarm.

A placeholder is worth nothing outside of its run. That it goes somewhere says that something in
the box sends off what it takes for a credential: this is a tripwire, not a wall, and who knows of
it can walk around it by any encoding of its own. Looked for is what programs do: as it is,
percent-encoded, in base64 at each place a text can begin in it, in hex; in bodies also in gzip.

What an agent says to its own API is not looked at: it tells its model all it reads, and one that
has seen its environment would never get another word in. A head to there is, as any other.

Nothing of a body is held back or changed: what has gone on before a refusal is not the whole of
a placeholder, and the rest does not follow.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from moat.core.hosts import Destination
from moat.engine.frames import FramePayloads, is_control
from moat.engine.messages import Request, block
from moat.engine.problem import Problem
from moat.engine.session import RunSession
from moat.engine.transform import Refused, Transform

_GZIP = b"\x1f\x8b"
# Of a compressed body this much is looked at: more would let a few bytes cost seconds.
_MOST_UNPACKED = 1 << 20


@dataclass(frozen=True, slots=True)
class Leak:
    """Whose placeholder was found on the way to which destination, and where in the request."""

    grant: str
    destination: Destination
    where: str

    @property
    def alarm(self) -> str:
        """What happened, for trace and audit; the placeholder is not in it."""
        return (
            f"the placeholder of {self.grant} was on its way to {self.destination}, in "
            f"{self.where}, and {self.grant} is not for that"
        )

    def problem(self, session: RunSession) -> Problem:
        """What the client is told."""
        places = {item.bound_to for item in session.injections if item.grant == self.grant}
        return Problem(
            status=403,
            kind="placeholder-leak",
            detail=f"Moat refused a request: {self.alarm}.",
            alarm=self.alarm,
            members=(
                ("run", session.run),
                ("host", self.destination.host),
                ("port", self.destination.port),
                ("grant", self.grant),
                ("grant_is_for", sorted(places)),
            ),
        )


def find_in_head(request: Request, session: RunSession) -> Leak | None:
    """The first placeholder in a request's head whose grant is not bound to where it goes."""
    watched = session.watched
    if not watched:
        return None
    destination = request.destination
    bound = session.bound(destination, request.target).grants
    if bound and watched.are_all_of(bound):
        return None
    line = f"{request.method} {request.target} {destination.host}"
    # A line that ends is no line that goes on, and to look for that takes as long again.
    whole = line.encode() + block(request.headers).replace(b"\r\n", b" ")
    if not watched.may_be_in(whole) or not watched.find(whole, but=bound):
        return None
    for where, text in _places(request):
        if grant := watched.find(text, but=bound):
            return Leak(grant, destination, where)
    return None


def _places(request: Request) -> Iterator[tuple[str, bytes]]:
    yield "the method", request.method.encode()
    yield "the name of the host", request.destination.host.encode()
    yield "the path or query", request.target.encode()
    for name, value in request.headers:
        yield "the name of a header", name
        yield f"the header {name[:64].decode('latin-1')}", value


def watch(
    session: RunSession, destination: Destination, target: str | None = None
) -> Transform | None:
    """What a body of a client streams through on its way, unchanged; None where there is nothing
    to watch for. Arguments as of `RunSession.injections_for`. The Transform raises Refused."""
    lookout = _lookout(session, destination, target, "the body")
    return _Body(lookout) if lookout else None


def watch_frames(
    session: RunSession, destination: Destination, target: str | None = None
) -> Transform | None:
    """The same for what the client of a WebSocket sends: frames, of which the payloads are looked
    at unmasked. Where messages are compressed (RFC 7692) they are not looked into."""
    lookout = _lookout(session, destination, target, "a message")
    return _Frames(lookout, lookout.another()) if lookout else None


def _lookout(
    session: RunSession, destination: Destination, target: str | None, where: str
) -> _Lookout | None:
    watched = session.watched
    if not watched:
        return None
    bound = session.bound(destination, target)
    if bound.agents_own or watched.are_all_of(bound.grants):
        return None
    return _Lookout(session, destination, bound.grants, where)


class _Lookout:
    """Looks at a stream of bytes; raises Refused once a placeholder has come by."""

    def __init__(
        self, session: RunSession, destination: Destination, bound: frozenset[str], where: str
    ) -> None:
        self._session = session
        self._destination = destination
        self._bound = bound
        self._where = where
        self._before = b""

    def another(self) -> _Lookout:
        """One for another stream of the same exchange."""
        return _Lookout(self._session, self._destination, self._bound, self._where)

    def look(self, data: bytes) -> None:
        """These are the next of the bytes."""
        watched = self._session.watched
        seen = self._before + data
        if watched.may_be_in(seen):
            grant = watched.find(seen, but=self._bound)
            if grant is not None:
                leak = Leak(grant, self._destination, self._where)
                raise Refused(leak.problem(self._session))
        self._before = seen[-watched.reach :]


class _Body:
    """A body, and what is in it if it is compressed with gzip."""

    def __init__(self, lookout: _Lookout) -> None:
        self._lookout = lookout
        self._beginning = b""
        self._inside: _Unpacked | None = None

    def feed(self, data: bytes) -> bytes:
        """The same bytes. Raises Refused."""
        self._lookout.look(data)
        if self._inside is not None:
            self._inside.look(data)
        elif len(self._beginning) < len(_GZIP):
            so_far = self._beginning + data
            self._beginning = so_far[: len(_GZIP)]
            if self._beginning == _GZIP:
                self._inside = _Unpacked(self._lookout.another())
                self._inside.look(so_far)
        return data

    def finish(self) -> bytes:
        """Nothing."""
        return b""


class _Unpacked:
    """The beginning of what a gzip stream holds."""

    def __init__(self, lookout: _Lookout) -> None:
        self._lookout = lookout
        self._stream = zlib.decompressobj(wbits=31)
        self._left = _MOST_UNPACKED

    def look(self, data: bytes) -> None:
        """These are the next of the packed bytes."""
        if not self._left:
            return
        try:
            unpacked = self._stream.decompress(data, self._left)
        except zlib.error:
            self._left = 0
        else:
            self._left -= len(unpacked)
            self._lookout.look(unpacked)


class _Frames:
    """The frames of a client: messages, and control frames among them."""

    def __init__(self, messages: _Lookout, control: _Lookout) -> None:
        self._payloads = FramePayloads()
        self._messages = messages
        self._control = control

    def feed(self, data: bytes) -> bytes:
        """The same bytes. Raises Refused."""
        for opcode, payload in self._payloads.feed(data):
            (self._control if is_control(opcode) else self._messages).look(payload)
        return data

    def finish(self) -> bytes:
        """Nothing."""
        return b""
