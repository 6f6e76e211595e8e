#!/usr/bin/python3
"""An MCP server over stdio (revision 2025-06-18), in the standard library alone: it runs in a box.

It takes nothing that the protocol does not allow, writes what its environment was to `seen.json`
in its working directory, and has one tool, `echo`.
"""

import json
import os
import sys
from pathlib import Path

TOOL = {
    "name": "echo",
    "description": "Say it again.",
    "inputSchema": {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    },
}


def answer(message, started):
    """The result of a request; an error as a pair of code and text."""
    method, params = message["method"], message.get("params", {})
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "echo", "version": "1"},
        }
    if not started:
        return (-32600, "not initialized")
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call" and params["name"] == "echo":
        return {"content": [{"type": "text", "text": "echo: " + params["arguments"]["text"]}]}
    if method == "ping":
        return {}
    return (-32601, f"no method {method}")


def main():
    """Serve until the input ends."""
    seen = {"environment": dict(os.environ), "arguments": sys.argv[1:]}
    Path("seen.json").write_text(json.dumps(seen))
    started = False
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("jsonrpc") != "2.0":
            sys.exit("that is no JSON-RPC 2.0")
        if "id" not in message:
            started = started or message["method"] == "notifications/initialized"
            continue
        result = answer(message, started)
        reply = {"jsonrpc": "2.0", "id": message["id"]}
        if isinstance(result, tuple):
            reply["error"] = {"code": result[0], "message": result[1]}
        else:
            reply["result"] = result
        print(json.dumps(reply), flush=True)


main()
