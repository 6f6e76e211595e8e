"""The addon mitmproxy is measured with; it runs in mitmproxy's own environment.

Two variables tell it what to do: BENCH_KEY, what to put into the header, and BENCH_UPSTREAM, the
port of 127.0.0.1 where every host is. What is long or never ends is streamed, or it would be kept
in memory whole.
"""

from __future__ import annotations

import os

from mitmproxy import http, proxy

_KEY = f"Bearer {os.environ['BENCH_KEY']}"
_UPSTREAM = ("127.0.0.1", int(os.environ["BENCH_UPSTREAM"]))
_LONG = 1 << 20


def server_connect(data: proxy.server_hooks.ServerConnectionHookData) -> None:
    """Dial the server of the measurement; name and certificate check stay."""
    data.server.address = _UPSTREAM


def requestheaders(flow: http.HTTPFlow) -> None:
    """Swap the header."""
    flow.request.headers["Authorization"] = _KEY
    flow.request.stream = _is_long(flow.request.headers)


def responseheaders(flow: http.HTTPFlow) -> None:
    """Stream what must be."""
    response = flow.response
    if response is not None:
        response.stream = _is_long(response.headers)


def _is_long(headers: http.Headers) -> bool:
    length = headers.get("content-length")
    endless = headers.get("content-type", "").startswith("text/event-stream")
    return endless or (length is not None and int(length) >= _LONG)
