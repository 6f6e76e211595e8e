"""One HTTP/2 connection (RFC 9113) over a wire, with everything both of its ends have in common.

Frames and the compression of headers are `h2`'s; heads are judged in `h2_heads`, what goes out
waits in `h2_outflow`. What came and nobody has taken is bounded by windows that open only as it is
taken; what the other side makes us do for nothing, by a budget.
"""

from __future__ import annotations

from h2 import events
from h2.exceptions import DenialOfServiceError, ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame

from moat.proxy.h1 import BadMessage
from moat.proxy.h2_frames import (
    CONTINUATION,
    DATA,
    ENDS,
    GOAWAY,
    PRIORITY,
    Budget,
    Frame,
    FrameReader,
)
from moat.proxy.h2_heads import Fields
from moat.proxy.h2_outflow import Outflow, begin
from moat.proxy.h2_stream import ENHANCE_YOUR_CALM, NO_ERROR, PROTOCOL_ERROR, Stream
from moat.proxy.wire import Wire

# Frames that bring nothing any further: so many at once, so many a second.
IDLE_FRAMES = 1000, 100.0
# A frame of data lets its receiver open two windows, and more.
_EARNED = 4


class Link(Outflow):
    """A connection and its streams; subclasses say what is done with heads.

    `going` says that no more streams are taken on, by either side; `down` that all is over.
    """

    def __init__(
        self, wire: Wire, settings: dict[SettingCodes, int], *, client_side: bool, window: int
    ) -> None:
        super().__init__(wire, begin(settings, client_side=client_side, window=window))
        self.going = False
        self._frames = FrameReader(preface=not client_side)
        self._heard_at = now = self._loop.time()
        self._idle_frames = Budget(*IDLE_FRAMES, now)
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

    def on_sent(self) -> None:
        """A frame of data was sent, and opens windows."""
        self._idle_frames.earn(_EARNED)

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
            self.spend(self._idle_frames, "frames that say nothing")
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

    def spend(self, budget: Budget, what: str) -> None:
        """Count something against a budget. Raises BadMessage."""
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
            self.pour_waiting()
        elif isinstance(event, events.RemoteSettingsChanged):
            self.limit_table()
            self.on_settings()
            self.pour_waiting()
        elif isinstance(
            event, events.TrailersReceived | events.StreamEnded | events.StreamReset
        ) and (stream := self.streams.get(event.stream_id)):
            self._take_end(stream, event)

    def _take_data(self, event: events.DataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            self._idle_frames.earn(1 if event.data else 0)
            stream.on_data(event.data, event.flow_controlled_length)

    def _take_end(
        self,
        stream: Stream,
        event: events.TrailersReceived | events.StreamEnded | events.StreamReset,
    ) -> None:
        if isinstance(event, events.TrailersReceived):
            stream.on_trailers(event.headers)
        elif isinstance(event, events.StreamEnded):
            stream.on_end()
            self.settle(stream)
        else:
            self.drop(stream)
            stream.on_lost("the stream was reset")
            if event.remote_reset:
                self.on_reset(stream)

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
        self.drop(stream)
        stream.on_lost("the stream was reset")

    # the end

    def part(self) -> None:
        """Say that no more streams are taken on; those that are open go on."""
        if not self.down and not self.going:
            self.going = True
            self.flush()
            last = self._h2.highest_inbound_stream_id
            self.write(GoAwayFrame(0, last_stream_id=last, error_code=NO_ERROR).serialize())

    def shut(self, reason: str) -> None:
        """Nothing more will come or go."""
        if self.down:
            return
        lost = [*self.streams.values(), *self._waiting]
        self.going = True
        self.stop()
        self.streams.clear()
        for stream in lost:
            stream.on_lost(reason)


def _check_length(stream: Stream, frame: Frame) -> None:
    """Refuse data that are not what Content-Length says; `h2` would end the connection."""
    if stream.left is None:
        return
    left = stream.left - frame.data_size
    if left < 0 or (left and frame.flags & ENDS):
        stream.fail(BadMessage("the body is not as long as its Content-Length"))
