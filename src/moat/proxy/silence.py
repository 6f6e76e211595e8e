"""How long an upstream may be silent while a client waits for it.

A client waits once it has said what it had to say: while it still sends a body or a message, no
silence counts, nor while it does not read what is there. Between the messages of an upgraded
connection nobody waits, however long. Times are seconds of the event loop's clock.
"""

from __future__ import annotations

from moat.proxy.frames import PONG, FrameScanner, is_data

# The longest that clients of model APIs are patient of themselves.
IDLE_TIMEOUT = 600.0


class Turns:
    """Whose turn it is on an upgraded connection: the upstream's, once the client has asked.

    A ping asks for its pong, but a pong for nothing. While a message is on its way up, the client
    does not wait yet; pings on top of it do not make it wait anew. `asked` is when it last did,
    None once the upstream has said something.
    """

    def __init__(self) -> None:
        self._frames = FrameScanner()
        self.asked: float | None = None

    def said(self, data: bytes, now: float) -> None:
        """The client has sent these bytes."""
        opcodes = self._frames.scan(data)
        if any(map(is_data, opcodes)) or (self.asked is None and opcodes - {PONG}):
            self.asked = now

    def heard(self) -> None:
        """The upstream has sent something."""
        self.asked = None
