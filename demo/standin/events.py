"""The events of one response, in the order the API sends them."""

from __future__ import annotations

import json
import re
from typing import Any

from .conversation import ShellTool
from .script import Call, Say, Shell, Turn

Event = dict[str, Any]
Item = dict[str, Any]

# The longest that Codex lets a command take before it hands it back unfinished.
WAIT_MS = 30_000


def item_for(turn: Turn, shell: ShellTool | None, *, ident: str) -> Item:
    """Return the output item that plays this turn to a client that offers this kind of shell."""
    match turn, shell:
        case Say(text), _:
            part = {"type": "output_text", "text": text, "annotations": []}
            return _item("message", f"msg_{ident}", role="assistant", content=[part])
        case Shell() as asked, "exec":
            return _program(javascript(asked), ident)
        case Call(server, tool, arguments), "exec":
            return _program(f"text(await tools.mcp__{server}__{tool}({arguments}))", ident)
        case Shell() as asked, "exec_command":
            return _item(
                "function_call",
                f"fc_{ident}",
                call_id=f"call_{ident}",
                name="exec_command",
                arguments=_arguments(asked),
            )
    raise ValueError("a client that offers no shell cannot be asked for a command")


def _program(source: str, ident: str) -> Item:
    return _item(
        "custom_tool_call", f"ctc_{ident}", call_id=f"call_{ident}", name="exec", input=source
    )


def javascript(asked: Shell) -> str:
    """Return a program for Codex's `exec` tool that runs a command and shows its result."""
    # The first line keeps the program itself from being handed back before its command is done.
    pragma = json.dumps({"yield_time_ms": WAIT_MS + 5_000})
    return f"// @exec: {pragma}\ntext(await tools.exec_command({_arguments(asked)}))"


def response_events(response: dict[str, Any], item: Item | None, *, prompt: int) -> list[Event]:
    """Return all events of a response with this one output item, or with none for a warm-up.

    `response` is the object as it is at the start; `prompt` is the size of the request in bytes.
    """
    output = [] if item is None else [item]
    usage = usage_for(prompt, len(json.dumps(output)) if output else 0)
    done = {**response, "status": "completed", "output": output, "usage": usage}
    events: list[Event] = [
        {"type": "response.created", "response": response},
        {"type": "response.in_progress", "response": response},
        *(_item_events(item) if item else []),
        {"type": "response.completed", "response": done},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def new_response(
    ident: str, *, model: str, created_at: int, previous: str | None, metadata: dict[str, str]
) -> dict[str, Any]:
    """Return a response object as it is before anything was generated."""
    return {
        "id": ident,
        "object": "response",
        "created_at": created_at,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "metadata": metadata,
        "model": model,
        "output": [],
        "previous_response_id": previous,
        "store": False,
        "usage": None,
    }


def usage_for(prompt: int, answer: int) -> dict[str, Any]:
    """Return token counts for sizes in bytes, at the usual four bytes a token."""
    given, made = prompt // 4, answer // 4
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + made,
    }


def sse(event: Event) -> bytes:
    """Return an event as server-sent event: one `event:` and one `data:` line."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _item(kind: str, ident: str, **fields: Any) -> Item:
    return {"id": ident, "type": kind, "status": "completed", **fields}


def _arguments(asked: Shell) -> str:
    arguments: dict[str, Any] = {"cmd": asked.command, "yield_time_ms": WAIT_MS}
    if asked.escalated:
        reason = "Shall it run outside the sandbox?"
        arguments |= {"sandbox_permissions": "require_escalated", "justification": reason}
    # JSON in ASCII is JavaScript as well, so one spelling serves both kinds of shell.
    return json.dumps(arguments)


def _item_events(item: Item) -> list[Event]:
    match item["type"]:
        case "message":
            inner, empty = _text_events(item), {**item, "content": []}
        case "function_call":
            inner = _call_events(item, "response.function_call_arguments", "arguments")
            empty = {**item, "arguments": ""}
        case _:
            inner = _call_events(item, "response.custom_tool_call_input", "input")
            empty = {**item, "input": ""}
    added = {**empty, "status": "in_progress"}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": added},
        *({**event, "item_id": item["id"], "output_index": 0} for event in inner),
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]


def _text_events(item: Item) -> list[Event]:
    part = item["content"][0]
    events: list[Event] = [
        {"type": "response.content_part.added", "part": {**part, "text": ""}},
        *(
            {"type": "response.output_text.delta", "delta": word, "logprobs": []}
            for word in _words(part["text"])
        ),
        {"type": "response.output_text.done", "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", "part": part},
    ]
    return [{**event, "content_index": 0} for event in events]


def _call_events(item: Item, prefix: str, field: str) -> list[Event]:
    return [
        {"type": f"{prefix}.delta", "delta": item[field]},
        {"type": f"{prefix}.done", field: item[field]},
    ]


def _words(text: str) -> list[str]:
    """Split into words with the space before them; joined again they are the text."""
    return re.findall(r"\s*\S+|\s+", text)
