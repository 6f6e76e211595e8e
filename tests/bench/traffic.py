"""What goes over the wire, the same through every proxy.

Requests and answers have the size and the fields of a model API's. No two are alike: a proxy that
remembers a whole head gains nothing.
"""

from __future__ import annotations

import base64
import os

CREDENTIALED = "api.openai.com"
"""Where a credential goes, and where answers are scrubbed of it."""
PLAIN = "files.example.com"
"""Where none goes, and where nothing is scrubbed."""
KEY = "sk-proj-" + "b3nchM4rk" * 12
"""The real one, which the client behind a proxy does not have."""

MIB = 1 << 20
EVENTS_PER_SECOND = 20

_BODY = (
    b'{"model":"gpt-5-codex","stream":false,"store":false,"input":[{"type":"message","role":"user",'
    b'"content":[{"type":"input_text","text":"What does function number %08d do, and who calls it '
    b'with an empty list? Answer in two sentences."}]}],"reasoning":{"effort":"low"},'
    b'"parallel_tool_calls":false,"max_output_tokens":512}'
)
_HEAD = (
    b"POST /v1/responses/%08d HTTP/1.1\r\n"
    b"Host: @HOST@\r\n"
    b"User-Agent: codex_cli_rs/0.50.0 (Debian 12; x86_64) xterm-256color\r\n"
    b"Accept: application/json\r\n"
    b"Accept-Encoding: gzip, br\r\n"
    b"Content-Type: application/json\r\n"
    b"Authorization: Bearer @KEY@\r\n"
    b"OpenAI-Beta: responses=experimental\r\n"
    b"X-Session-Id: 7f9c2ba4-e88f-11ee-8a6b-%012x\r\n"
    b"X-Request-Id: %032x\r\n"
    b"Content-Length: %d\r\n\r\n"
)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Sat, 01 Nov 2025 10:00:00 GMT\r\n"
    b"Content-Type: application/json\r\n"
    b"Content-Length: %d\r\n"
    b"Cache-Control: no-store\r\n"
    b"X-Request-Id: req_%032x\r\n"
    b"OpenAI-Processing-Ms: %d\r\n"
    b"X-RateLimit-Remaining-Requests: %d\r\n"
    b"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n\r\n"
)
_ANSWER_BODY = (
    b'{"id":"resp_%032x","object":"response","status":"completed","model":"gpt-5-codex","output":['
    b'{"type":"message","role":"assistant","content":[{"type":"output_text","text":"It turns a '
    b"list of names into a table, sorted by the time each was last seen; with an empty list it "
    b"gives an empty table and writes a line to the log. It is called from two places, both of "
    b'them tests: number %08d and the one after it."}]}],"usage":{"input_tokens":%d,'
    b'"output_tokens":61,"total_tokens":148},"metadata":{}}'
)
_EVENT = (
    b"event: response.output_text.delta\n"
    b'data: {"type":"response.output_text.delta","item_id":"msg_68f0a1c2d3","output_index":0,'
    b'"content_index":0,"sequence_number":%d,"delta":" word","sent":%d}\n\n'
)


class Requests:
    """Small requests to a host, numbered."""

    def __init__(self, host: str, key: str) -> None:
        self._head = _HEAD.replace(b"@HOST@", host.encode()).replace(b"@KEY@", key.encode())
        self._number = int.from_bytes(os.urandom(3), "big")

    def next(self) -> bytes:
        """One that was not sent before."""
        self._number += 1
        number = self._number
        body = _BODY % number
        return self._head % (number, number * 7919, number * 0x9E3779B97F4A7C15, len(body)) + body


def request(method: str, path: str, host: str, key: str, size: int = 0) -> bytes:
    """The head of a request that is not small."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: codex_cli_rs/0.50.0 (Debian 12; x86_64) xterm-256color",
        "Accept: */*",
        f"Authorization: Bearer {key}",
    ]
    if method == "POST":
        lines += ["Content-Type: text/plain", f"Content-Length: {size}"]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(number: int) -> bytes:
    """The answer to a small request."""
    mixed = number * 0x9E3779B97F4A7C15
    body = _ANSWER_BODY % (mixed, number % 10**8, number % 1000)
    head = _ANSWER % (len(body), mixed, number % 900, number % 10000)
    return head + body


def event(number: int, now: int) -> bytes:
    """One event of a stream, with the time it is sent at, as a chunk."""
    text = _EVENT % (number, now)
    return b"%x\r\n%b\r\n" % (len(text), text)


def block() -> bytes:
    """A MiB of text that compresses badly and holds no secret."""
    return base64.b64encode(os.urandom(MIB))[:MIB]
