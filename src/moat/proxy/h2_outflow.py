"""What goes out over an HTTP/2 connection: no more than the windows of the other side and the
network take, each stream in its turn. The rest waits with its stream.
"""

from __future__ import annotations

import asyncio

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings

from moat.proxy.h1 import MAX_HEAD
from moat.proxy.h2_frames import PREFACE
from moat.proxy.h2_stream import Stream
from moat.proxy.wire import Wire, WireClosed

MAX_STREAMS = 100  # of one connection at once
# What is put together for the network in one go, and the most of it in one frame.
_BATCH = 64 * 1024
# RFC 7541 section 4.2 leaves it to who compresses how large a table to keep, up to what the other
# side allows, which could be any size.
_TABLE = 4096
_DEFAULT_WINDOW = 65535
_UNLIMITED = 2**31 - 1


class _Connection(H2Connection):
    MAX_CLOSED_STREAMS = 1024  # how many it remembers that are over


def begin(settings: dict[SettingCodes, int], *, client_side: bool, window: int) -> H2Connection:
    """A connection that has said its first words. `window` is what it takes of all streams."""
    # Heads are judged by `h2_heads`, so that one that is malformed ends no other stream.
    config = H2Configuration(
        client_side=client_side,
        header_encoding=None,
        validate_inbound_headers=False,
        normalize_inbound_headers=False,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
    )
    connection = _Connection(config)
    settings = {
        SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
        SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEAD,
        **settings,
    }
    connection.local_settings = Settings(client=client_side, initial_values=settings)
    connection.initiate_connection()
    # A stream too many is refused by itself: `h2` would end the connection.
    settings[SettingCodes.MAX_CONCURRENT_STREAMS] = _UNLIMITED
    connection.local_settings = Settings(client=client_side, initial_values=settings)
    connection.increment_flow_control_window(window - _DEFAULT_WINDOW)
    if not client_side:
        connection.receive_data(PREFACE)
    return connection


class Outflow:
    """The sending half of a connection. `down` says that nothing can be sent any more."""

    def __init__(self, wire: Wire, connection: H2Connection) -> None:
        self.wire = wire
        self.streams: dict[int, Stream] = {}
        self.down = False
        self._h2 = connection
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Stream, None] = {}  # for room, in their order
        self._unflushed = 0
        self._flushing: asyncio.Handle | None = None
        self._refilling: asyncio.Task[None] | None = None

    def on_sent(self) -> None:
        """A frame of data was sent."""

    def settle(self, stream: Stream) -> None:
        """Forget a stream if it has ended both ways."""
        if stream.sent and stream.arrived:
            self.drop(stream)

    def drop(self, stream: Stream) -> None:
        """Forget a stream."""
        self._waiting.pop(stream, None)
        if stream.number is not None:
            self.streams.pop(stream.number, None)
        if self._waiting:
            self._loop.call_soon(self.pour_waiting)  # one that waits to be opened

    def limit_table(self) -> None:
        """Compress with a table of our size, whatever the other side would have."""
        if self._h2.encoder.header_table_size > _TABLE:
            self._h2.encoder.header_table_size = _TABLE

    def pour(self, stream: Stream) -> None:
        """Send what waits of a stream, as far as there is room."""
        if self.down:
            stream.on_lost("the connection is closed")
        elif stream not in self._waiting:
            if not self._pour(stream):
                self._waiting[stream] = None
            self.flush_soon()

    def _pour(self, stream: Stream) -> bool:
        """Whether nothing of it waits any more."""
        out = stream.out
        while out:
            if self._unflushed >= _BATCH:
                self.flush()
            if self.wire.congested:
                self._refill()
                return False
            part = out[0]
            last = stream.closing and len(out) == 1
            if isinstance(part, list):
                if stream.number is None and not self._open(stream):
                    return False
                assert stream.number is not None
                self._h2.send_headers(stream.number, part, end_stream=last)
            elif not self._pour_data(stream, part, last=last):
                return False
            out.popleft()
            stream.sent = last
        if stream.closing and not stream.sent:
            assert stream.number is not None
            self._h2.end_stream(stream.number)
            stream.sent = True
        stream.wake_writer()
        self.settle(stream)
        return True

    def _pour_data(self, stream: Stream, part: bytes | memoryview, *, last: bool) -> bool:
        """Send data as far as the windows are open; whether that was all of them."""
        number = stream.number
        assert number is not None
        rest = memoryview(part)
        while rest:
            if self._unflushed >= _BATCH:
                self.flush()
            room = min(
                self._h2.local_flow_control_window(number),
                self._h2.max_outbound_frame_size,
                _BATCH,
            )
            if room <= 0:
                stream.out[0] = rest
                return False
            now, rest = rest[:room], rest[room:]
            self._h2.send_data(number, now, end_stream=last and not rest)
            self._unflushed += len(now)
            self.on_sent()
        return True

    def pour_waiting(self) -> None:
        """Send what waits of all streams, each in its turn."""
        for stream in tuple(self._waiting):
            if self.wire.congested:
                self._refill()
                break
            del self._waiting[stream]
            if not self._pour(stream):
                self._waiting[stream] = None  # behind the others
        self.flush_soon()

    def _open(self, stream: Stream) -> bool:
        """Number a stream of our own, if the other side takes it on."""
        most = min(self._h2.remote_settings.max_concurrent_streams, MAX_STREAMS)
        if len(self.streams) >= most:
            return False
        stream.number = self._h2.get_next_available_stream_id()
        self.streams[stream.number] = stream
        return True

    def _refill(self) -> None:
        """Send on, once the network takes more."""
        if self.wire.congested and self._refilling is None:
            self._refilling = self._loop.create_task(self._send_on())

    async def _send_on(self) -> None:
        try:
            while self.wire.congested:
                await self.wire.drain()
                self.pour_waiting()
                self.flush()
        except WireClosed:
            pass  # whoever listens hears of it
        finally:
            self._refilling = None

    def flush_soon(self) -> None:
        """Send what was made ready, together with what others make ready now."""
        if self._flushing is None:
            self._flushing = self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what was made ready."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        self._unflushed = 0
        if data := self._h2.data_to_send():
            self.write(data)

    def write(self, data: bytes) -> None:
        try:
            self.wire.write(data)
        except WireClosed:
            pass  # whoever listens hears of it

    def stop(self) -> None:
        """Send what was made ready, and nothing else."""
        self.flush()
        self.down = True
        if self._refilling is not None:
            self._refilling.cancel()
        self._waiting.clear()
