"""An MCP server over streamable http (revision 2025-06-18) with real TLS, strict about its key."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

from standin.certs import make_certificates

TOOL = {
    "name": "lookup",
    "description": "Look something up.",
    "inputSchema": {"type": "object", "properties": {"word": {"type": "string"}}},
}
SESSION = "0123456789abcdef"


class RunningMcpServer:
    """A server for `host` that takes one value of one header and nothing else."""

    def __init__(self, directory: Path, *, host: str, header: str, value: str) -> None:
        self._certificates = make_certificates(directory, names=[host])
        self._header, self._value = header, value
        self.seen: list[tuple[str, str | None]] = []  # method, value of the header
        self.called: list[dict[str, Any]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def ca_file(self) -> Path:
        """The root its certificate hangs from."""
        return self._certificates.ca_file

    def __enter__(self) -> RunningMcpServer:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/mcp", self._serve)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        context = self._certificates.server_context()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.port = self._runner.addresses[0][1]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _serve(self, request: web.Request) -> web.Response:
        given = request.headers.get(self._header)
        self.seen.append((request.method, given))
        if given != self._value:
            return web.Response(status=401)
        if request.method != "POST":
            return web.Response(status=405 if request.method == "GET" else 200)
        message = await request.json()
        if message.get("jsonrpc") != "2.0" or "text/event-stream" not in request.headers["Accept"]:
            return web.Response(status=400)
        if message["method"] != "initialize" and request.headers.get("Mcp-Session-Id") != SESSION:
            return web.Response(status=400)
        if "id" not in message:
            return web.Response(status=202)
        reply = {"jsonrpc": "2.0", "id": message["id"], "result": self._result(message)}
        headers = {"Mcp-Session-Id": SESSION}
        return web.Response(
            text=json.dumps(reply), content_type="application/json", headers=headers
        )

    def _result(self, message: dict[str, Any]) -> dict[str, Any]:
        match message["method"]:
            case "initialize":
                return {
                    "protocolVersion": message["params"]["protocolVersion"],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "lookup", "version": "1"},
                }
            case "tools/list":
                return {"tools": [TOOL]}
            case "tools/call":
                self.called.append(message["params"])
                return {"content": [{"type": "text", "text": "found it"}]}
        return {}
