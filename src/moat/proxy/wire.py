"""One connection as a stream of bytes: awaited in order, bounded both ways, TLS or not.

TLS runs over `ssl.MemoryBIO` rather than the event loop's own: it can begin with bytes that
were already read, it tells a closing from a cut, and it can end one direction.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import get_running_loop
from collections.abc import Callable
from typing import cast

# Above this many unread bytes the other side is asked to wait.
HIGH_WATER = 256 * 1024
_RECORD = 16 * 1024  # the most that one record of TLS holds
# How long the other side may go on sending once we have said our last word, and fall silent.
_LINGER_SECONDS = 30.0
_PAUSE_SECONDS = 3.0


class WireClosed(ConnectionError):
    """The other side is gone, or ended before what was expected had come."""


class Wire(asyncio.Protocol):
    """One side of a connection.

    `buffer` holds what was received and not yet taken. At most one task reads and one writes.
    `ended` is set once no more bytes will come; `cut` if they ended without TLS's close_notify,
    or by a reset. `on_lost` is called once, when the other side is cut or gone.
    """

    def __init__(self, on_lost: Callable[[Wire], None] | None = None) -> None:
        self.buffer = bytearray()
        self.ended = False
        self.cut = False
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._handshaking = False
        self._reading_paused = False
        self._writing_paused = False
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._expired = False

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Take bytes off the network; none count after the end, or after a fault of TLS."""
        if self.ended:
            return
        if self._tls is None:
            self.buffer += data
            self._limit_reading()
        else:
            self._incoming.write(data)
            if not self._handshaking:
                self._decrypt()
        readable = self._readable
        if readable is not None and not readable.done():
            readable.set_result(None)

    def eof_received(self) -> bool:
        """Note the end of what comes; the other direction stays open."""
        if self._tls is not None:
            self._incoming.write_eof()
            if not self._handshaking:
                self._decrypt()
        self._note_end(cut=self._tls is not None)
        self._wake_reader()
        return True

    def connection_lost(self, _: Exception | None) -> None:
        """Wake everybody: nothing more will come or go."""
        self._transport = None
        self._note_end(cut=True)
        self._wake_reader()
        self.resume_writing()
        self._note_loss()

    def pause_writing(self) -> None:
        """The other side reads too slowly."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """The other side has caught up."""
        self._writing_paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def _note_end(self, *, cut: bool) -> None:
        if not self.ended:
            self.ended = True
            self.cut = cut
            if cut:
                self._note_loss()

    def _note_loss(self) -> None:
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost(self)

    # reading

    async def fill(self) -> bool:
        """Wait until more bytes are in the buffer; False when none will come.

        Raises TimeoutError once somebody has called `expire`.
        """
        size = len(self.buffer)
        while len(self.buffer) == size:
            if self.ended:
                return False
            if self._expired:
                raise TimeoutError
            if size and self._reading_paused:
                return True
            self._readable = get_running_loop().create_future()
            await self._readable
        return True

    def expire(self) -> None:
        """Let nobody wait for bytes any longer."""
        self._expired = True
        self._wake_reader()

    def take(self, limit: int | None = None) -> bytes:
        """Take up to `limit` bytes from the front of the buffer, without waiting."""
        buffer = self.buffer
        if limit is None or limit >= len(buffer):
            data = bytes(buffer)
            buffer.clear()
        else:
            data = bytes(memoryview(buffer)[:limit])
            del buffer[:limit]
        if self._reading_paused:
            self._resume_reading()
        return data

    def drop(self, size: int) -> None:
        """Take bytes that were read where they are."""
        del self.buffer[:size]
        if self._reading_paused:
            self._resume_reading()

    def _resume_reading(self) -> None:
        if len(self.buffer) >= HIGH_WATER // 2:
            return
        # OpenSSL may hold bytes that raise no event of their own.
        if self._tls is not None:
            self._decrypt()
        if len(self.buffer) < HIGH_WATER:
            self._reading_paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def _limit_reading(self) -> None:
        if len(self.buffer) >= HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            if self._transport is not None and not self._transport.is_closing():
                self._transport.pause_reading()

    def _wake_reader(self) -> None:
        if self._readable is not None and not self._readable.done():
            self._readable.set_result(None)

    # writing

    @property
    def congested(self) -> bool:
        """Whether the other side reads too slowly for more."""
        return self._writing_paused

    @property
    def lost(self) -> bool:
        """Whether nothing can be written any more."""
        return self._transport is None or self._transport.is_closing()

    def write(self, data: bytes | bytearray) -> None:
        """Send bytes, buffering what the network does not take yet. Raises WireClosed."""
        transport, tls = self._transport, self._tls
        if transport is None or transport.is_closing():
            raise WireClosed("the connection is closed")
        if tls is None:
            transport.write(data)
            return
        try:
            sent = tls.write(data)
            while sent < len(data):
                sent += tls.write(memoryview(data)[sent:])
        except ssl.SSLError as error:
            raise WireClosed(f"TLS failed: {error.reason}") from error
        transport.write(self._outgoing.read())

    @property
    def full(self) -> bool:
        """Whether there is reason to wait in `drain`."""
        return self._writing_paused or self._transport is None

    async def drain(self) -> None:
        """Wait until the other side has room. Raises WireClosed."""
        while self._writing_paused:
            self._writable = get_running_loop().create_future()
            await self._writable
        if self._transport is None:
            raise WireClosed("the connection is closed")

    def end(self) -> None:
        """Say that no more bytes will be sent; reading goes on."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._tls is None:
            self._transport.write_eof()
        elif not self._handshaking:
            self._close_notify()

    async def finish(self) -> None:
        """Close in order, once the other side has had time to read our last words.

        What it still sends is read and dropped: closing over unread bytes is a reset, and a
        reset takes from it what it has not read yet.
        """
        self.end()
        self._expired = False
        clock = asyncio.get_running_loop().time
        until = clock() + _LINGER_SECONDS
        while not self.ended:
            self.take()
            try:
                async with asyncio.timeout(_PAUSE_SECONDS):
                    await self.fill()
            except TimeoutError:
                if not self._unsent:
                    break
            if not self._unsent and clock() > until:
                break
        if self._transport is not None and not self._transport.is_closing():
            self._transport.set_write_buffer_limits(high=0)
            await self.drain()
        self.close()

    @property
    def _unsent(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Close in order: what was written still goes out."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._tls is not None and not self._handshaking:
            self._close_notify()
        self._transport.close()

    def abort(self) -> None:
        """Close at once, so that the other side sees a cut and not an end."""
        if self._transport is not None:
            self._transport.abort()

    # TLS

    @property
    def alpn(self) -> str | None:
        """The protocol that was agreed on in the handshake."""
        return None if self._tls is None else self._tls.selected_alpn_protocol()

    async def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None = None
    ) -> None:
        """Shake hands. Raises ssl.SSLError, or WireClosed when the other side goes away."""
        early = self.take()
        self._handshaking = True
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self._incoming.write(early)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                if self.ended:
                    raise WireClosed("the connection ended during the TLS handshake") from None
                self._readable = get_running_loop().create_future()
                await self._readable
            except ssl.SSLError:
                self._flush()  # the alert that says why
                raise
        self._handshaking = False
        self._flush()
        self._decrypt()

    def _decrypt(self) -> None:
        self._read_records(HIGH_WATER)
        if self._outgoing.pending:
            self._flush()
        if len(self.buffer) >= HIGH_WATER:
            self._limit_reading()

    def _read_records(self, limit: int | None) -> None:
        """Decrypt until the buffer holds `limit` bytes, or all there is."""
        assert self._tls is not None
        tls, incoming, buffer = self._tls, self._incoming, self.buffer
        try:
            while limit is None or len(buffer) < limit:
                # To ask in vain costs an exception; what is there is more than what it holds.
                waiting = tls.pending() or incoming.pending
                if not waiting and not incoming.eof:
                    return
                data = tls.read(min(waiting, _RECORD) or 1)
                if not data:
                    self._note_end(cut=False)
                    return
                buffer += data
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._note_end(cut=False)
        except ssl.SSLError:
            self._note_end(cut=True)

    def _close_notify(self) -> None:
        assert self._tls is not None
        # OpenSSL takes records it holds unread for a fault of the other side.
        self._read_records(None)
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # it waits for the answer, which is not needed
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            data = self._outgoing.read()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.write(data)
