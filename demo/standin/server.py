"""The stand-in as a TLS server: requests in, checks and events from elsewhere, answers out."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web

from . import checks
from .body import MODELS, Body, parse_create, parse_post, unknown_response, wants_title
from .certs import make_certificates
from .conversation import Conversation
from .errors import ApiError, on_purpose
from .events import Event, item_for, new_response, response_events, sse
from .faults import Cut, Fault, Silence, Stall, Status
from .script import TITLE, Say, Turn, check_script, turn_at
from .seen import Seen, append, digest

# A first turn is 75 KB; one with a screenshot is some megabytes.
BODY_LIMIT = 16 * 1024 * 1024
# Stalled and idle connections are ended rather than waited for.
GRACE_SECONDS = 0.2

Send = Callable[[Event], Awaitable[None]]


class StandIn:
    """Serves https://api.openai.com on 127.0.0.1 to whoever holds the key.

    `directory` gets the certificates, seen.jsonl and outputs.jsonl; what is not even HTTP is
    answered with 400 by the parser and not recorded. `pace` is the pause in seconds after each
    piece of text. `echo_authorization` repeats the received Authorization in every answer: in
    the header x-echo-authorization, in the metadata and in what the model says.
    """

    def __init__(
        self,
        directory: Path,
        *,
        key: str,
        script: Sequence[Turn],
        port: int = 0,
        websocket: bool = True,
        fault: Fault | None = None,
        echo_authorization: bool = False,
        pace: float = 0.0,
    ) -> None:
        self.directory = directory
        self.port = port
        self.fault = fault
        """May be set and cleared between requests."""
        self.seen: list[Seen] = []
        if not key:
            raise ValueError("the key is empty, and an empty key would let everyone in")
        self._key = key
        self._script = check_script(script)
        self._websocket = websocket
        self._echo = echo_authorization
        self._pace = pace
        self._outputs: dict[str, str] = {}
        # Low-level on purpose: nothing but the handler may answer, so that all is recorded.
        server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=GRACE_SECONDS)

    @property
    def ca_file(self) -> Path:
        """The certificate a client must trust, there once the stand-in is started."""
        return self.directory / "ca.pem"

    @property
    def tool_outputs(self) -> list[str]:
        """The outputs of tools that the model was shown, each once, in order."""
        return list(self._outputs.values())

    async def start(self) -> None:
        """Make the certificates and listen; `port` is the real one afterwards."""
        certificate = make_certificates(self.directory, names=[checks.HOST])
        await self._runner.setup()
        context = certificate.server_context()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and end every connection; does nothing if never started."""
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except ApiError as error:
            return self._json(request, error.status, error.body())

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        checks.check_host(request.headers.getall("Host", []))
        checks.check_key(_authorization(request), self._key)
        checks.check_door(request.method, path)
        if isinstance(self.fault, Status):
            raise on_purpose(self.fault.status)
        if path == "/v1/models":
            return self._json(request, 200, _models())
        if request.method == "POST":
            return await self._post(request)
        return await self._socket(request)

    async def _post(self, request: web.BaseRequest) -> web.StreamResponse:
        content = await _read(request)
        body = parse_post(
            content,
            content_type=request.content_type,
            content_encoding=request.headers.get("Content-Encoding", "identity"),
        )
        events, _ = self._respond(request, body, Conversation(), size=len(content))
        if not body.get("stream"):
            await self._play(request, [], _drop)
            return self._json(request, 200, events[-1]["response"])
        self._record(request, 200)
        response = web.StreamResponse(headers=self._headers(request))
        response.content_type, response.charset = "text/event-stream", "utf-8"
        await response.prepare(request)

        async def send(event: Event) -> None:
            await response.write(sse(event))

        await self._play(request, events, send)
        return response

    async def _socket(self, request: web.BaseRequest) -> web.StreamResponse:
        checks.check_upgrade(
            request.headers.get("Upgrade", ""),
            request.headers.get("OpenAI-Beta", ""),
            websocket=self._websocket,
        )
        socket = web.WebSocketResponse(max_msg_size=BODY_LIMIT)
        socket.headers.update(self._headers(request))
        if not socket.can_prepare(request):
            raise ApiError(400, "This is not a WebSocket handshake.")
        self._record(request, 101)
        await socket.prepare(request)
        # Nothing is stored: a response can be continued on the connection it was given on.
        known: dict[str, Conversation] = {}
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            try:
                events = self._continue(request, message.data, known)
            except ApiError as error:
                events = [{"type": "error", "status": error.status, **error.body()}]
            await self._play(request, events, socket.send_json)
        return socket

    def _continue(
        self, request: web.BaseRequest, text: str, known: dict[str, Conversation]
    ) -> list[Event]:
        """Return the events that answer one message and remember where its response leads."""
        body = parse_create(text)
        previous = body.get("previous_response_id")
        if previous is not None and previous not in known:
            raise unknown_response(previous)
        before = known[previous] if previous is not None else Conversation()
        events, after = self._respond(request, body, before, size=len(text))
        known[events[0]["response"]["id"]] = after
        return events

    def _respond(
        self, request: web.BaseRequest, body: Body, before: Conversation, *, size: int
    ) -> tuple[list[Event], Conversation]:
        """Return the events of the model's next turn, and the conversation as it is after it."""
        heard = before.hear_request(body)
        self._keep_outputs(heard)
        ident = uuid.uuid4().hex
        response = new_response(
            f"resp_{ident}",
            model=body["model"],
            created_at=int(time.time()),
            previous=body.get("previous_response_id"),
            metadata=self._echoed(request),
        )
        if body.get("generate") is False:
            return response_events(response, None, prompt=size), heard
        turn = TITLE if wants_title(body) else self._turn(request, heard)
        item = item_for(turn, heard.shell, ident=ident)
        return response_events(response, item, prompt=size), heard.hear([item])

    def _turn(self, request: web.BaseRequest, heard: Conversation) -> Turn:
        turn = turn_at(self._script, heard.taken, has_shell=heard.shell is not None)
        if self._echo and isinstance(turn, Say):
            return Say(f"{turn.text} [{', '.join(_authorization(request))}]")
        return turn

    async def _play(self, request: web.BaseRequest, events: list[Event], send: Send) -> None:
        """Send the events, or those that come before the fault and then what it says."""
        for event in _before(self.fault, events):
            try:
                await send(event)
            except ConnectionError:  # the client has seen enough
                return
            if event["type"].endswith(".delta"):
                await asyncio.sleep(self._pace)
        if self.fault is not None:
            await _fail(self.fault, request.transport)

    def _keep_outputs(self, conversation: Conversation) -> None:
        for call, output in conversation.outputs:
            if call not in self._outputs:
                self._outputs[call] = output
                append(self.directory / "outputs.jsonl", {"call_id": call, "output": output})

    def _json(
        self, request: web.BaseRequest, status: int, body: dict[str, Any]
    ) -> web.StreamResponse:
        self._record(request, status)
        answer = {**body, "metadata": self._echoed(request)} if self._echo else body
        return web.json_response(answer, status=status, headers=self._headers(request))

    def _headers(self, request: web.BaseRequest) -> dict[str, str]:
        echoed = {f"x-echo-{name}": value for name, value in self._echoed(request).items()}
        return {"x-request-id": f"req_{uuid.uuid4().hex}", **echoed}

    def _echoed(self, request: web.BaseRequest) -> dict[str, str]:
        return {"authorization": ", ".join(_authorization(request))} if self._echo else {}

    def _record(self, request: web.BaseRequest, status: int) -> None:
        authorization = _authorization(request)
        seen = Seen(
            method=request.method,
            path=request.raw_path,
            host=", ".join(request.headers.getall("Host", [])),
            authorized=checks.is_authorized(authorization, self._key),
            authorization_digest=digest(authorization),
            websocket=request.headers.get("Upgrade", "").lower() == "websocket",
            status=status,
        )
        self.seen.append(seen)
        append(self.directory / "seen.jsonl", dataclasses.asdict(seen))


def _authorization(request: web.BaseRequest) -> list[str]:
    return request.headers.getall("Authorization", [])


async def _read(request: web.BaseRequest) -> bytes:
    """Read the whole body; raises ApiError 413 as soon as it is over the limit."""
    content = bytearray()
    async for chunk in request.content.iter_any():
        content += chunk
        if len(content) > BODY_LIMIT:
            raise ApiError(413, f"The request is larger than {BODY_LIMIT} bytes.")
    return bytes(content)


def _before(fault: Fault | None, events: list[Event]) -> list[Event]:
    match fault:
        case None:
            return events
        case Silence():
            return []
        case _:
            return events[: len(events) // 2]


async def _fail(fault: Fault, transport: asyncio.Transport | None) -> None:
    match fault:
        case Status():
            pass  # set while this answer was under way: it counts from the next request on
        case Cut():
            if transport is not None:
                transport.abort()
        case Stall() | Silence():
            await asyncio.Event().wait()


async def _drop(_event: Event) -> None:
    """Send nothing: the answer follows in one piece."""


def _models() -> dict[str, Any]:
    made = {"object": "model", "created": 0, "owned_by": "openai"}
    return {"object": "list", "data": [{"id": name, **made} for name in MODELS]}
