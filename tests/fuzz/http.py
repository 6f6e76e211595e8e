"""Requests and answers that are nearly right: a grammar with faults in it."""

from __future__ import annotations

from random import Random

API = b"api.example.com"

# What stands in attacks, and is put anywhere.
TOKENS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b"\x0b", b"\x85", b"\xff",
    b"0\r\n\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Host: evil.example\r\n", b"GET /hidden HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n", b"chunked", b"Connection: close\r\n", b"Upgrade: websocket\r\n",
    b"5\r\nhello\r\n", b"Content-Length", b";", b",",
)  # fmt: skip
_FRAMING = (
    b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: 1000", b"content-length:5",
    b"Content-Length : 5", b"Content-Length: +5", b"Content-Length: 5, 5", b"Content-Length: 0x5",
    b"Content-Length:", b"Content-Length: 5 ", b"Content-Length:\t5", b"Content_Length: 5",
    b"Transfer-Encoding: chunked", b"transfer-encoding:chunked", b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding:\x0bchunked", b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked", b"Transfer-Encoding\r\n : chunked",
    b"Transfer_Encoding: chunked", b"Connection: content-length",
    b"Connection: close, Transfer-Encoding", b"Content-Length: 5\r\n 0",
)  # fmt: skip
_FIELDS = (
    b"Accept: */*", b"X:1", b"X:  a b\t", b"Cookie: a=b", b"Authorization: mine",
    b"Expect: 100-continue", b"Connection: keep-alive", b"Connection: X-Hop, close", b"X-Hop: 1",
    b"Connection: content-length", b"Keep-Alive: 5", b"TE: trailers", b"Proxy-Authorization: x",
    b"Host: evil.example", b"Upgrade: h2c", b"Connection: Upgrade", b"Upgrade: websocket",
    b" folded: 1", b"X: \xe4\xff", b"no colon", b": 1", b"X\0: 1", b"X: a\rY: b",
    b"Accept-Encoding: br", b"Range: bytes=0-5", b"Trailer: X-Sum",
)  # fmt: skip
_METHODS = (
    b"GET",
    b"GET",
    b"POST",
    b"POST",
    b"PUT",
    b"HEAD",
    b"OPTIONS",
    b"get",
    b"CONNECT",
    b"TRACE",
    b"G(T",
)
_TARGETS = (
    b"/", b"/a?b=c", b"/%61", b"*", b"/a//b", b"/../x", b"//evil.example/", b"http://evil.example/",
    b"https://api.example.com/", b"/a b", b"/#", b"/\xff", b"evil.example:443", b"/" + b"a" * 300,
)  # fmt: skip
_VERSIONS = (b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"")
_STATUS = (
    b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.1 204 No",
    b"HTTP/1.1 304 No", b"HTTP/1.1 103 Early", b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Switch",
    b"HTTP/1.0 200 OK", b"HTTP/1.1 500", b"HTTP/2 200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 600 x",
    b"HTTP/1.1 206 Part",
)  # fmt: skip
_ENDS = (b"\n", b"\r", b"\r\r\n", b"\n\r", b"", b"\r\n ")


_HOSTS = ([], [b"Host: " + API] * 2, [b"Host: evil.example"], [b"host:" + API + b":443"])


def chunks(rng: Random, *, fault: bool = False) -> bytes:
    """A body in chunks, with a fault if one is wanted."""
    parts: list[bytes] = []
    for _ in range(rng.randrange(3) + fault):
        data = rng.choice((b"hello", b"GET /hidden HTTP/1.1\r\n\r\n", rng.randbytes(9)))
        parts += (
            b"%x" % len(data),
            rng.choice((b"", b"", b";a=b", b';a="b"')),
            b"\r\n",
            data,
            b"\r\n",
        )
    parts += (b"0", b"\r\n", rng.choice((b"", b"", b"X-Sum: 1\r\n")), b"\r\n")
    if fault:
        parts[rng.randrange(len(parts))] = rng.choice(
            (b"+5", b"0x5", b"", b"5 ", b"F" * 20, b";\na", b"\n", b"XX", b"Content-Length: 5\r\n",
             b"Host: x\r\n", b"X : 1\r\n", b"X: a\r\n b\r\n")
        )  # fmt: skip
    return b"".join(parts)


class _Draft:
    """A message in the making: its first line, its fields, how lines end, and its body."""

    def __init__(self, rng: Random, first: list[bytes], fields: list[bytes]) -> None:
        self.first = first
        self.fields = fields
        self.ends: dict[int, bytes] = {}
        self._rng = rng
        self._chunked = rng.random() < 0.35
        self.body = (
            b"" if rng.random() < 0.5 else rng.choice((b"hello", b"GET /hidden HTTP/1.1\r\n\r\n"))
        )
        if self._chunked:
            self.body = chunks(rng)
            self.fields.append(b"Transfer-Encoding: chunked")
        elif self.body or rng.random() < 0.3:
            self.fields.append(b"Content-Length: %d" % len(self.body))

    def spoil(self) -> None:
        """Put a fault in."""
        rng = self._rng
        match rng.randrange(6):
            case 0 if self._chunked:
                self.body = chunks(rng, fault=True)
            case 0 | 1:
                self._put(rng.choice(_FRAMING))
            case 2 | 3:
                self._put(rng.choice(_FIELDS))
            case 4:
                self.ends[rng.randrange(len(self.fields) + 2)] = rng.choice(_ENDS)
            case _:
                self.body += rng.choice((b"0\r\n\r\n", b"hello", b"\r\n"))

    def _put(self, line: bytes) -> None:
        self.fields.insert(self._rng.randrange(len(self.fields) + 1), line)

    def raw(self) -> bytes:
        """The bytes."""
        lines = [b" ".join(self.first), *self.fields, b""]
        head = [line + self.ends.get(at, b"\r\n") for at, line in enumerate(lines)]
        return b"".join(head) + self.body


def request(rng: Random, *, inside: bool, faults: int) -> bytes:
    """One request, `inside` a tunnel or with a whole URL, with so many faults."""
    target = rng.choice(_TARGETS[:3])
    hosts = [b"Host: " + API]
    first = [rng.choice(_METHODS[:6]), target, b"HTTP/1.1"]
    for _ in range(faults):
        match rng.randrange(12):
            case 0:
                first[0] = rng.choice(_METHODS)
            case 1:
                first[1] = rng.choice(_TARGETS)
            case 2:
                first[2] = rng.choice(_VERSIONS)
            case 3:
                hosts = list(rng.choice(_HOSTS))
    if not inside and first[1].startswith(b"/"):
        first[1] = b"http://" + API + first[1]
    draft = _Draft(rng, first, [*hosts, *rng.sample(_FIELDS[:8], rng.randrange(3))])
    for _ in range(faults):
        draft.spoil()
    return draft.raw()


def answer(rng: Random, *, faults: int) -> bytes:
    """One answer of a server, with so many faults."""
    status = rng.choice(_STATUS if faults else _STATUS[:2])
    draft = _Draft(rng, [status], rng.sample(_FIELDS[:3], rng.randrange(3)))
    for _ in range(faults):
        draft.spoil()
    return draft.raw()
