"""What the tests of the stand-in share: a started stand-in and a client that trusts it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from demo.tunnel import Tunnel
from standin import Fault, Say, Shell, StandIn, Turn

KEY = "sk-real-0123456789abcdef0123456789abcdef"
URL = "https://api.openai.com"
BETA = {"OpenAI-Beta": "responses_websockets=2026-02-06"}
SCRIPT: tuple[Turn, ...] = (Shell("echo 'one'"), Say("All is done."))

# The shapes are those of Codex 0.169, cut down to what matters.
CLASSIC_TOOLS = [{"type": "function", "name": "exec_command", "parameters": {}}]
EXEC_TOOLS = {
    "type": "additional_tools",
    "id": "at_1",
    "role": "developer",
    "tools": [
        {"type": "namespace", "name": "clock", "tools": [{"type": "function", "name": "sleep"}]},
        {
            "type": "namespace",
            "name": "functions",
            "tools": [{"type": "custom", "name": "exec"}, {"type": "function", "name": "wait"}],
        },
    ],
}


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make an async test one that pytest can call."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        async def limited() -> None:
            async with asyncio.timeout(60):
                await test(**fixtures)

        asyncio.run(limited())

    return run


def user(text: str) -> dict[str, Any]:
    """Return what a user said as an input item."""
    part = {"type": "input_text", "text": text}
    return {"type": "message", "role": "user", "content": [part]}


def classic(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a request as Codex makes it for an older model."""
    return {
        "model": "gpt-5.2",
        "input": list(items) or [user("go")],
        "tools": CLASSIC_TOOLS,
        "stream": True,
        "store": False,
        **more,
    }


def default(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a request as Codex makes it for its default model."""
    given = [EXEC_TOOLS, *(items or (user("go"),))]
    return {"model": "gpt-6.1-sol", "input": given, "stream": True, "store": False, **more}


def create(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the WebSocket message that makes this request."""
    return {"type": "response.create", **body, **more}


@dataclass(frozen=True)
class Talk:
    """A stand-in and a client session that reaches it as https://api.openai.com."""

    standin: StandIn
    session: aiohttp.ClientSession

    async def ask(
        self,
        method: str = "POST",
        path: str = "/v1/responses",
        *,
        headers: list[tuple[str, str]] | None = None,
        **more: Any,
    ) -> tuple[int, dict[str, Any]]:
        """Send one request, authorized unless headers are given, and return status and JSON."""
        given = [("Authorization", f"Bearer {KEY}")] if headers is None else headers
        async with self.session.request(method, URL + path, headers=given, **more) as answer:
            return answer.status, await answer.json()

    async def stream(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Send one request and return the server-sent events of its answer."""
        headers = {"Authorization": f"Bearer {KEY}"}
        url = f"{URL}/v1/responses"
        async with self.session.post(url, headers=headers, json=body) as answer:
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
            return parse_sse(await answer.text())

    @contextlib.asynccontextmanager
    async def socket(self, **headers: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open the WebSocket as Codex does, compression included."""
        given = {"Authorization": f"Bearer {KEY}", **BETA, **headers}
        url = f"{URL}/v1/responses"
        async with self.session.ws_connect(url, headers=given, compress=15) as socket:
            yield socket


@contextlib.asynccontextmanager
async def talking(
    directory: Path,
    *,
    script: tuple[Turn, ...] = SCRIPT,
    websocket: bool = True,
    fault: Fault | None = None,
    echo_authorization: bool = False,
) -> AsyncIterator[Talk]:
    """Start a stand-in and a client, which knows no other way than the tunnel."""
    async with contextlib.AsyncExitStack() as stack:
        standin = await stack.enter_async_context(
            StandIn(
                directory,
                key=KEY,
                script=script,
                websocket=websocket,
                fault=fault,
                echo_authorization=echo_authorization,
            )
        )
        tunnel = await stack.enter_async_context(Tunnel(standin.port))
        context = ssl.create_default_context(cafile=str(standin.ca_file))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context), proxy=f"http://127.0.0.1:{tunnel.port}"
        )
        yield Talk(standin, await stack.enter_async_context(session))


def parse_sse(text: str) -> list[dict[str, Any]]:
    """Return the events of a stream; each must be exactly one event and one data line."""
    events = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


async def receive(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    """Return the events up to the end of one response."""
    events = [await socket.receive_json()]
    while events[-1]["type"] not in ("response.completed", "error"):
        events.append(await socket.receive_json())
    return events


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Return the types of events, without the prefix that all of them have."""
    return [event["type"].removeprefix("response.") for event in events]


def item_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the one output item of a response."""
    [item] = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    return item


def output_for(item: dict[str, Any], output: Any) -> dict[str, Any]:
    """Return the input item that answers a tool call."""
    return {"type": f"{item['type']}_output", "call_id": item["call_id"], "output": output}
