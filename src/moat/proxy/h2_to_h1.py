"""What a client asked over HTTP/2, of an upstream that speaks HTTP/1.1."""

from __future__ import annotations

from moat.engine.messages import Request, Response, get_all, without
from moat.proxy.h1 import BadMessage
from moat.proxy.h1_upstream import H1Upstream
from moat.proxy.websocket import accept_of, new_key

# Methods whose servers may want to be told that no body follows (RFC 9110 section 8.6).
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_TE = frozenset({b"te"})
_LENGTH = frozenset({b"content-length"})
_ACCEPT = b"sec-websocket-accept"


class TranslatedUpstream(H1Upstream):
    """One exchange of a connection, as `H1Upstream`, with what HTTP/1.1 says in other words."""

    _accept: bytes | None = None

    def start(self, request: Request, data: bytes = b"", *, end: bool = False) -> None:
        """Send the head of the request, with what is there of its body. Raises WireClosed."""
        headers = without(request.headers, _TE)  # it would be about this connection
        if request.upgrade is not None:
            key = new_key()
            self._accept = accept_of(key)
            headers = (*headers, (b"sec-websocket-key", key))
        elif request.body == 0 and request.method in _WITH_BODY:
            headers = (*without(headers, _LENGTH), (b"content-length", b"0"))
        super().start(request.with_headers(headers), data, end=end)

    async def head(self) -> Response:
        """The head of the next answer. Raises WireClosed, or BadMessage."""
        response = await super().head()
        if self._accept is None or not response.is_final or response.status >= 300:
            return response
        if response.upgrade is None:
            # Over HTTP/2 any 2xx would be taken for the switch.
            raise BadMessage("a success that switches no protocol")
        if get_all(response.headers, _ACCEPT) != [self._accept]:
            raise BadMessage("the switch of protocols is not for this request")
        return response
