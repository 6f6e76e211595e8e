"""A server that keeps every byte it gets, and answers each request once it is whole."""

from __future__ import annotations

import threading

from fuzz import strict
from proxy.support import Server, Stream, end_tls, reply


class Tape:
    """Takes the part of a server's script; `heard` holds the bytes of each connection.

    The answers are given in turn, whatever the connection, then 200. With `close`, the connection
    ends in order behind the last of them.
    """

    def __init__(self, server: Server, *answers: bytes, close: bool = False) -> None:
        self.heard: list[bytearray] = []
        self._answers = list(answers)
        self._close = close
        self._lock = threading.Lock()
        server.script = self._serve

    def only(self) -> bytes:
        """All that came, by one connection."""
        (data,) = self.heard
        return bytes(data)

    def requests(self) -> list[strict.Message]:
        """What came, as a strict reader takes it."""
        return [message for data in self.heard for message in strict.requests(bytes(data))]

    def _serve(self, stream: Stream) -> None:
        data, answered = bytearray(), 0
        self.heard.append(data)
        while stream.fill():
            data += stream.take(len(stream.buffer))
            for _ in range(_whole(bytes(data)) - answered):
                answered += 1
                with self._lock:
                    last = len(self._answers) == 1
                    answer = self._answers.pop(0) if self._answers else reply()
                stream.send(answer)
                if last and self._close:
                    end_tls(stream)
                    return


def _whole(data: bytes) -> int:
    try:
        return sum(message.whole for message in strict.requests(data))
    except strict.Unsound:
        return 0


def head(line: str, *fields: str) -> bytes:
    """A head of these lines."""
    return "".join(f"{text}\r\n" for text in (line, *fields, "")).encode("latin-1")
