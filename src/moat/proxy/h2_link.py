"""One HTTP/2 connection (RFC 9113) over a wire, with everything both of its ends have in common.

Frames and the compression of headers are `h2`'s; heads are judged in `h2_heads`. Three things are
bounded: what came and nobody has taken, by windows that open only as it is taken; what goes out
and is not read, by sending no more than windows and network allow; and what the other side makes
us do for nothing, by budgets.
"""

from __future__ import annotations

import asyncio

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import DenialOfServiceError, ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from moat.proxy.h1 import MAX_HEAD, BadMessage
from moat.proxy.h2_frames import (
    CONTINUATION,
    DATA,
    ENDS,
    GOAWAY,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    Budget,
    Frame,
    FrameReader,
)
from moat.proxy.h2_heads import Fields
from moat.proxy.h2_stream import ENHANCE_YOUR_CALM, NO_ERROR, PROTOCOL_ERROR, Stream
from moat.proxy.wire import Wire, WireClosed

MAX_STREAMS = 100  # of one connection at once
# Frames that bring nothing any further, and streams that are given up: so many at once, so many a
# second.
IDLE_FRAMES = 1000, 100.0
RESETS = 200, 20.0
# A frame of data lets its receiver open two windows, and more.
_EARNED = 4
# What is put together for the network in one go, and the most of it in one frame.
_BATCH = 64 * 1024
_DEFAULT_WINDOW = 65535
_UNLIMITED = 2**31 - 1


class _Connection(H2Connection):
    MAX_CLOSED_STREAMS = 1024  # how many it remembers that are over


class Link:
    """A connection and its streams; subclasses say what is done with heads.

    `going` says that no more streams are taken on, by either side; `down` that all is over.
    """

    def __init__(
        self, wire: Wire, settings: dict[SettingCodes, int], *, client_side: bool, window: int
    ) -> None:
        self.wire = wire
        self.streams: dict[int, Stream] = {}
        self.going = False
        self.down = False
        self._loop = asyncio.get_running_loop()
        self._frames = FrameReader(preface=not client_side)
        self._heard_at = now = self._loop.time()
        self._idle_frames = Budget(*IDLE_FRAMES, now)
        self._resets = Budget(*RESETS, now)
        self._waiting: dict[Stream, None] = {}  # for room, in their order
        self._unflushed = 0
        self._flushing: asyncio.Handle | None = None
        self._refilling: asyncio.Task[None] | None = None
        self._h2 = _begin(settings, client_side=client_side, window=window)
        self.flush()

    # what subclasses say

    def on_head(self, number: int, fields: Fields, *, ended: bool) -> None:
        """A head came."""
        raise NotImplementedError

    def on_reset(self, stream: Stream) -> None:
        """The other side has given a stream up."""

    def on_settings(self) -> None:
        """The other side has said what it wants."""

    def on_goaway(self, last: int) -> None:
        """The other side takes no streams on after this one."""

    # what comes

    async def listen(self) -> None:
        """Take in what comes, until the connection ends. Raises BadMessage, and TimeoutError as
        `fill` of a wire does."""
        wire = self.wire
        while not self.down:
            if wire.buffer:
                self._take_in(wire.take())
            elif not await wire.fill():
                return

    def _take_in(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            for frame in self._frames.feed(data):
                self._take_frame(frame)
        except ProtocolError as error:
            status = 431 if isinstance(error, DenialOfServiceError) else 400
            reason = f"HTTP/2 is not kept to: {error}"
            self.shut(reason)
            raise BadMessage(reason, status=status) from error
        except BadMessage as error:
            calm = error.status in (429, 431)
            self._h2.close_connection(ENHANCE_YOUR_CALM if calm else PROTOCOL_ERROR)
            self.shut(error.reason)
            raise
        self.flush()

    def _take_frame(self, frame: Frame) -> None:
        stream = self.streams.get(frame.stream)
        if frame.is_idle or (frame.kind == DATA and stream is None):
            self._spend(self._idle_frames, "frames that say nothing")
        if frame.kind == RST_STREAM:
            self._spend(self._resets, "streams given up")
        if frame.kind == DATA and stream is not None:
            _check_length(stream, frame)
        elif not self._frames.in_block:
            if frame.kind == GOAWAY:
                self._take_goaway(frame)
                return
            if frame.kind == PRIORITY or frame.kind > CONTINUATION:
                return
        for event in self._h2.receive_data(frame.raw):
            self._take_event(event)

    def _spend(self, budget: Budget, what: str) -> None:
        # Who does not read what we say to it does not get more with time.
        if not budget.spend(None if self.wire.congested else self._loop.time()):
            raise BadMessage(f"too many {what}", status=429)

    def _take_goaway(self, frame: Frame) -> None:
        # `h2` would stop here; the streams that are open go on.
        if frame.stream or frame.size < 8:
            raise BadMessage("a GOAWAY frame is malformed")
        self.going = True
        self.on_goaway(int.from_bytes(frame.raw[9:13], "big") & 0x7FFFFFFF)

    def _take_event(self, event: events.Event) -> None:
        if isinstance(event, events.DataReceived):
            self._take_data(event)
        elif isinstance(
            event,
            events.RequestReceived | events.ResponseReceived | events.InformationalResponseReceived,
        ):
            ended = getattr(event, "stream_ended", None) is not None
            self.on_head(event.stream_id, event.headers, ended=ended)
        elif isinstance(event, events.WindowUpdated):
            self._pour_waiting()
        elif isinstance(event, events.RemoteSettingsChanged):
            self.on_settings()
            self._pour_waiting()
        elif isinstance(
            event, events.TrailersReceived | events.StreamEnded | events.StreamReset
        ) and (stream := self.streams.get(event.stream_id)):
            self._take_end(stream, event)

    def _take_data(self, event: events.DataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            self._idle_frames.earn(1 if event.data else 0)
            stream.on_data(event.data, event.flow_controlled_length)
        elif event.flow_controlled_length:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _take_end(
        self,
        stream: Stream,
        event: events.TrailersReceived | events.StreamEnded | events.StreamReset,
    ) -> None:
        if isinstance(event, events.TrailersReceived):
            stream.on_trailers(event.headers)
        elif isinstance(event, events.StreamEnded):
            stream.on_end()
            self._settle(stream)
        else:
            self._drop(stream)
            stream.on_lost("the stream was reset")
            if event.remote_reset:
                self.on_reset(stream)

    # what goes

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
        self._settle(stream)
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
            if room <= 0 or self.wire.congested:
                stream.out[0] = rest
                self._refill()
                return False
            now, rest = rest[:room], rest[room:]
            self._h2.send_data(number, now, end_stream=last and not rest)
            self._unflushed += len(now)
            self._idle_frames.earn(_EARNED)
        return True

    def _pour_waiting(self) -> None:
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
                self._pour_waiting()
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
            self._write(data)

    def _write(self, data: bytes) -> None:
        try:
            self.wire.write(data)
        except WireClosed:
            pass  # whoever listens hears of it

    # streams

    def acknowledge(self, stream: Stream, size: int) -> None:
        """Give the other side room for what was taken."""
        if not self.down and stream.number is not None:
            self._h2.acknowledge_received_data(size, stream.number)
            self.flush_soon()

    def reset(self, stream: Stream, code: int) -> None:
        """End a stream at once, if it has not ended."""
        if stream.lost:
            return
        if stream.number in self.streams and not self.down:
            self._h2.reset_stream(stream.number, code)
            self.flush_soon()
        self._drop(stream)
        stream.on_lost("the stream was reset")

    def _settle(self, stream: Stream) -> None:
        """Forget a stream that has ended both ways."""
        if stream.sent and stream.arrived:
            self._drop(stream)

    def _drop(self, stream: Stream) -> None:
        self._waiting.pop(stream, None)
        if stream.number is not None:
            self.streams.pop(stream.number, None)
        if self._waiting:
            self._loop.call_soon(self._pour_waiting)  # one that waits to be opened

    # the end

    def part(self) -> None:
        """Say that no more streams are taken on; those that are open go on."""
        if not self.down and not self.going:
            self.going = True
            self.flush()
            last = self._h2.highest_inbound_stream_id
            self._write(GoAwayFrame(0, last_stream_id=last, error_code=NO_ERROR).serialize())

    def shut(self, reason: str) -> None:
        """Nothing more will come or go."""
        if self.down:
            return
        self.flush()
        self.down = self.going = True
        if self._refilling is not None:
            self._refilling.cancel()
        for stream in [*self.streams.values(), *self._waiting]:
            stream.on_lost(reason)
        self.streams.clear()
        self._waiting.clear()


def _begin(settings: dict[SettingCodes, int], *, client_side: bool, window: int) -> H2Connection:
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


def _check_length(stream: Stream, frame: Frame) -> None:
    """Refuse data that are not what Content-Length says; `h2` would end the connection."""
    if stream.left is None:
        return
    left = stream.left - frame.data_size
    if left < 0 or (left and frame.flags & ENDS):
        stream.fail(BadMessage("the body is not as long as its Content-Length"))
