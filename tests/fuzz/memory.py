"""The proxy without sockets: real conversations over wires that end in memory.

Left out are the event loop's transports and TLS; what a client and a server say is fed to the
wires piece by piece, and every byte that leaves is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fuzz import strict
from moat.core.hosts import Destination, HostPattern, parse_host_port
from moat.core.secret import Secret
from moat.engine.exchange import Entry, Measured
from moat.engine.inject import Injection
from moat.engine.policy import Policy, Rule
from moat.engine.session import RunSession
from moat.proxy.h1 import BadMessage, RequestHead
from moat.proxy.interface import Handed
from moat.proxy.server import Conversation
from moat.proxy.upstream import Upstreams
from moat.proxy.wire import Wire, WireClosed

API = "api.example.com"
KEY = "sk-real-7f3a9c1e5b2d8064"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
END, CUT = b"<end>", b"<cut>"
"""What a server does instead of saying something: end its direction, or hang up."""

Answer = Callable[[strict.Message], Sequence[bytes]]


class Line(asyncio.Transport):
    """What a wire writes to: keeps all of it, and tells `on_write`."""

    def __init__(self, wire: Wire, on_write: Callable[[Line], None] | None = None) -> None:
        super().__init__()
        self.wire = wire
        self.sent = bytearray()
        self.ended = False
        self._closing = False
        self._on_write = on_write
        wire.connection_made(self)

    def write(self, data: Any) -> None:
        assert not self.ended, "written after the end"
        assert not self._closing, "written when closed"
        self.sent += data
        if self._on_write is not None:
            self._on_write(self)

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self.wire.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def say(self, data: bytes) -> None:
        """Let the wire hear something from the other side."""
        if self._closing:
            return
        if data == END:
            self.wire.eof_received()
        elif data == CUT:
            self.close()
        else:
            self.wire.data_received(data)


class Tunnelled(Conversation):
    """A conversation whose tunnels are what TLS would make of them, without it."""

    async def _open_tunnel(self, head: RequestHead) -> bool:
        try:
            self._fixed = Destination("https", *parse_host_port(head.target))
        except ValueError as error:
            raise BadMessage(str(error)) from error
        return True


class Servers(Upstreams):
    """Upstream connections to servers in memory; `fault` says what a strict one did not take."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(lambda: None)  # type: ignore[arg-type,return-value]
        self.lines: list[Line] = []
        self.order: list[tuple[int, int]] = []  # line and number on it of each request as it began
        self.fault: strict.Unsound | None = None
        self._answer = answer
        self._begun: list[int] = []
        self._answered: list[int] = []

    async def _connect(self, destination: Destination, local: bool, offered: Sequence[str]) -> Wire:
        wire = Wire()
        number = len(self.lines)
        self._begun.append(0)
        self._answered.append(0)
        self.lines.append(Line(wire, lambda line: self._heard(number, line)))
        return wire

    def _heard(self, number: int, line: Line) -> None:
        try:
            messages = strict.requests(bytes(line.sent))
        except strict.Unsound as fault:
            self.fault = fault
            return
        for _ in messages[self._begun[number] :]:
            self.order.append((number, self._begun[number]))
            self._begun[number] += 1
        whole = sum(message.whole for message in messages)
        while self._answered[number] < whole:
            message = messages[self._answered[number]]
            self._answered[number] += 1
            for piece in self._answer(message):
                asyncio.get_running_loop().call_soon(line.say, piece)


@dataclass
class Told:
    """What came of a conversation.

    `client` is what the client got, `servers` what each connection upstream did; `rows` are the
    records of each exchange in their order, `errors` what was logged as unforeseen.
    """

    client: bytes = b""
    servers: list[bytes] = field(default_factory=list)
    order: list[tuple[int, int]] = field(default_factory=list)
    fault: strict.Unsound | None = None
    rows: dict[int, list[tuple[Entry, Measured]]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def record(self, number: int, entry: Entry, measured: Measured) -> None:
        """Take a record in. See `moat.proxy.interface.Recorder`."""
        self.rows.setdefault(number, []).append((replace(entry), replace(measured)))

    async def resolve(self, grant: str) -> Secret:
        """Give the key out. See `moat.proxy.interface.CredentialSource`."""
        return Secret(KEY)


class _Errors(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self._found.append(self.format(record))


def session() -> RunSession:
    """API may be asked, over https with a key, and over http without."""
    rules = tuple(Rule(HostPattern.parse(text), "option") for text in (API, f"{API}:80"))
    key = Injection("openai", HostPattern.parse(API), "Authorization", "Bearer {}", ("Cookie",))
    return RunSession("0123456789", Policy(rules), (key,))


async def settle(turns: int = 30) -> None:
    """Let everything that can go on go on."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def converse(
    pieces: Sequence[bytes], answer: Answer = lambda _: (OK,), servers: Servers | None = None
) -> Told:
    """Let a client say these pieces and end; a server answers each whole request."""
    told = Told()
    upstreams = Servers(answer) if servers is None else servers
    handed = Handed(session(), told, told, None, upstreams)  # type: ignore[arg-type]
    client = Wire()
    line = Line(client)
    logger, handler = logging.getLogger("moat"), _Errors(told.errors)
    logger.addHandler(handler)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.errors.append(str(context)))
    try:
        task = loop.create_task(_serve(Tunnelled(handed, client), client))
        for piece in pieces:
            line.say(piece)
            await settle(8)
        line.say(END)
        for _ in range(4):  # what was cut may be asked for again
            await settle()
            for other in upstreams.lines:
                other.say(END)
                other.say(CUT)
        await asyncio.wait_for(task, 10)
        upstreams.close()
        await upstreams.wait_closed()
        await settle(3)
        assert not handed.live._watched
        assert asyncio.all_tasks() == {asyncio.current_task()}
    finally:
        logger.removeHandler(handler)
    told.client = bytes(line.sent)
    told.servers = [bytes(other.sent) for other in upstreams.lines]
    told.order, told.fault = upstreams.order, upstreams.fault
    return told


async def _serve(conversation: Conversation, client: Wire) -> None:
    try:
        await conversation.run()
        await client.finish()
    except (WireClosed, TimeoutError):
        client.abort()
