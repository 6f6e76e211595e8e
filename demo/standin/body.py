"""Which request bodies the API accepts: names and types of every field, checked before use."""

from __future__ import annotations

import json
from typing import Any

from .errors import ApiError

Types = tuple[type, ...]
Body = dict[str, Any]

# The models this Codex has in its catalogue, and one it treats as an older, classic one.
MODELS = (
    "gpt-6.1-sol",
    "gpt-6.1-terra",
    "gpt-6-sol",
    "gpt-6-luna",
    "gpt-6-astra",
    "gpt-5.6-sol",
    "gpt-5.6-terra",
    "gpt-5.6-luna",
    "gpt-5.5",
    "gpt-5.2",
    "codex-auto-review",
)

# Fields of POST /v1/responses in the public reference, and client_metadata, which Codex sends.
FIELDS: dict[str, Types] = {
    "background": (bool,),
    "client_metadata": (dict,),
    "context_management": (list,),
    "conversation": (str, dict),
    "include": (list,),
    "input": (str, list),
    "instructions": (str,),
    "max_output_tokens": (int,),
    "max_tool_calls": (int,),
    "metadata": (dict,),
    "model": (str,),
    "parallel_tool_calls": (bool,),
    "previous_response_id": (str,),
    "prompt": (dict,),
    "prompt_cache_key": (str,),
    "prompt_cache_retention": (str,),
    "reasoning": (dict,),
    "safety_identifier": (str,),
    "service_tier": (str,),
    "store": (bool,),
    "stream": (bool,),
    "stream_options": (dict,),
    "temperature": (int, float),
    "text": (dict,),
    "tool_choice": (str, dict),
    "tools": (list,),
    "top_logprobs": (int,),
    "top_p": (int, float),
    "truncation": (str,),
    "user": (str,),
}
SOCKET_FIELDS: dict[str, Types] = {**FIELDS, "type": (str,), "generate": (bool,)}

# What an input item of each type must have; further fields are the client's own.
ITEMS: dict[str, dict[str, Types]] = {
    "message": {"role": (str,), "content": (str, list)},
    "additional_tools": {"role": (str,), "tools": (list,)},
    "function_call": {"call_id": (str,), "name": (str,), "arguments": (str,)},
    "function_call_output": {"call_id": (str,), "output": (str, list)},
    "custom_tool_call": {"call_id": (str,), "name": (str,), "input": (str,)},
    "custom_tool_call_output": {"call_id": (str,), "output": (str, list)},
    "reasoning": {"summary": (list,)},
    "web_search_call": {},
    "compaction": {"encrypted_content": (str,)},
}
ROLES = ("assistant", "developer", "system", "user")
PARTS = ("input_text", "input_image", "input_file", "input_audio", "output_text", "refusal")


def parse_post(content: bytes, *, content_type: str, content_encoding: str) -> Body:
    """Return the body of a POST /v1/responses; raises ApiError for what the API refuses."""
    if content_type != "application/json":
        raise ApiError(
            400,
            f"Unsupported content type: '{content_type}'. This API method only accepts "
            "'application/json' requests.",
        )
    if content_encoding != "identity":
        raise ApiError(400, f"Unsupported content encoding: '{content_encoding}'.")
    body = _parse_json(content)
    _check(body, FIELDS)
    if not body["input"]:
        raise _missing("input")
    if body.get("previous_response_id") is not None:
        # Nothing is stored here, so no earlier response can be meant.
        raise unknown_response(body["previous_response_id"])
    return body


def parse_create(content: str) -> Body:
    """Return a response.create message of a WebSocket; raises ApiError if it is anything else."""
    body = _parse_json(content)
    if body.get("type") != "response.create":
        raise _bad("type", "invalid_value", "Invalid value for 'type': expected response.create.")
    _check(body, SOCKET_FIELDS)
    return body


def items_of(body: Body) -> list[Body]:
    """Return the input items; a bare string is one user message."""
    given = body["input"]
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return [{"type": "message", **item} for item in given]


def wants_title(body: Body) -> bool:
    """Tell whether this asks for {"title": …}, as Codex's screen does beside each conversation."""
    match body.get("text"):
        case {"format": {"type": "json_schema", "schema": {"properties": {"title": _, **rest}}}}:
            return not rest
        case _:
            return False


def unknown_response(response_id: str) -> ApiError:
    """Return the refusal of a previous_response_id that is not known here."""
    message = f"Previous response with id '{response_id}' not found."
    return _bad("previous_response_id", "previous_response_not_found", message)


def _parse_json(content: bytes | str) -> Body:
    try:
        body = json.loads(content)
    except ValueError as error:
        raise ApiError(400, "We could not parse the JSON body of your request.") from error
    if not isinstance(body, dict):
        raise _wrong_type("body", (dict,), body)
    return body


def _check(body: Body, fields: dict[str, Types]) -> None:
    for name, value in body.items():
        if name not in fields:
            raise _bad(name, "unknown_parameter", f"Unknown parameter: '{name}'.")
        if value is not None and not _is(value, fields[name]):
            raise _wrong_type(name, fields[name], value)
    for name in ("model", "input"):
        if body.get(name) is None:
            raise _missing(name)
    if body["model"] not in MODELS:
        message = f"The requested model '{body['model']}' does not exist."
        raise _bad("model", "model_not_found", message)
    if isinstance(body["input"], list):
        for index, item in enumerate(body["input"]):
            _check_item(f"input[{index}]", item)
    _check_tools("tools", body.get("tools") or [])


def _check_item(where: str, item: object) -> None:
    if not isinstance(item, dict):
        raise _wrong_type(where, (dict,), item)
    kind = item.get("type", "message")
    if not isinstance(kind, str) or kind not in ITEMS:
        raise _bad(f"{where}.type", "invalid_value", f"Invalid value: '{kind}'.")
    for name, types in ITEMS[kind].items():
        if name not in item:
            raise _missing(f"{where}.{name}")
        if not _is(item[name], types):
            raise _wrong_type(f"{where}.{name}", types, item[name])
    if item.get("role", "user") not in ROLES:
        raise _bad(f"{where}.role", "invalid_value", f"Invalid value: '{item['role']}'.")
    if kind == "additional_tools":
        _check_tools(f"{where}.tools", item["tools"])
    for name in ("content", "output"):
        if kind != "reasoning" and isinstance(item.get(name), list):
            _check_parts(f"{where}.{name}", item[name])


def _check_parts(where: str, parts: list[object]) -> None:
    for index, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in PARTS:
            raise _bad(f"{where}[{index}].type", "invalid_value", f"Invalid value: '{kind}'.")
        assert isinstance(part, dict)
        if kind in ("input_text", "output_text") and not isinstance(part.get("text"), str):
            raise _missing(f"{where}[{index}].text")


def _check_tools(where: str, tools: list[object]) -> None:
    for index, tool in enumerate(tools):
        if not isinstance(tool, dict) or not isinstance(tool.get("type"), str):
            raise _missing(f"{where}[{index}].type")


def _is(value: object, types: Types) -> bool:
    """Tell whether a JSON value has one of these types; true and false are not numbers."""
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _missing(name: str) -> ApiError:
    message = f"Missing required parameter: '{name}'."
    return _bad(name, "missing_required_parameter", message)


def _wrong_type(name: str, types: Types, value: object) -> ApiError:
    wanted = " or ".join(kind.__name__ for kind in types)
    message = f"Invalid type for '{name}': expected {wanted}, but got {type(value).__name__}."
    return _bad(name, "invalid_type", message)


def _bad(param: str, code: str, message: str) -> ApiError:
    return ApiError(400, message, code=code, param=param)
