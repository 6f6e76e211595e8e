"""Which bodies are accepted: those of Codex are, and each small mistake is refused with 400."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from demo.talk import KEY, classic, create, default, in_loop, talking, user
from standin.body import parse_create, parse_post
from standin.errors import ApiError


def post(body: Any, **more: str) -> dict[str, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content_type": "application/json", "content_encoding": "identity", **more}
    return parse_post(content, **headers)


def refusal(body: Any, **more: str) -> tuple[int, str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        post(body, **more)
    return caught.value.status, caught.value.code, caught.value.param


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in classic().items() if key != name}


@pytest.mark.parametrize(
    "body", [classic(), default(), classic(input="go"), classic(stream=False, user=None)]
)
def test_what_codex_sends_is_accepted(body: dict[str, Any]) -> None:
    assert body == post(body)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (without("model"), "missing_required_parameter", "model"),
        (without("input"), "missing_required_parameter", "input"),
        (classic(input=[]), "missing_required_parameter", "input"),
        (classic(input=7), "invalid_type", "input"),
        (classic(model="gpt-0"), "model_not_found", "model"),
        (classic(model=7), "invalid_type", "model"),
        (classic(temperture=1), "unknown_parameter", "temperture"),
        (classic(generate=False), "unknown_parameter", "generate"),
        (classic(stream="true"), "invalid_type", "stream"),
        (classic(temperature=True), "invalid_type", "temperature"),
        (classic(tools=[7]), "missing_required_parameter", "tools[0].type"),
        (classic(previous_response_id="resp_1"), "previous_response_not_found", None),
        (classic(7), "invalid_type", "input[0]"),
        (classic({"type": "wish"}), "invalid_value", "input[0].type"),
        (classic({"type": []}), "invalid_value", "input[0].type"),
        (classic(user("a") | {"role": "root"}), "invalid_value", "input[0].role"),
        (classic({"role": "user"}), "missing_required_parameter", "input[0].content"),
        (classic(user("a") | {"content": [7]}), "invalid_value", "input[0].content[0].type"),
        (
            classic(user("a") | {"content": [{"type": "input_text"}]}),
            "missing_required_parameter",
            "input[0].content[0].text",
        ),
        (classic({"type": "function_call_output", "call_id": 7}), "invalid_type", None),
        ([], "invalid_type", "body"),
    ],
)
def test_a_mistake_is_refused_by_name(body: Any, code: str, param: str | None) -> None:
    status, got, where = refusal(body)
    assert (400, code) == (status, got)
    assert param in (None, where)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null"])
def test_what_is_not_a_json_object_is_refused(content: bytes) -> None:
    assert refusal(content)[0] == 400


def test_only_plain_json_is_taken() -> None:
    assert refusal(classic(), content_type="text/plain")[0] == 400
    assert refusal(classic(), content_encoding="zstd")[0] == 400


def test_a_websocket_message_may_be_a_warm_up() -> None:
    warm_up = create(default(), input=[], generate=False)
    assert warm_up == parse_create(json.dumps(warm_up))


@pytest.mark.parametrize("kind", [None, "response.cancel", 7])
def test_a_websocket_message_must_be_a_create(kind: object) -> None:
    with pytest.raises(ApiError):
        parse_create(json.dumps(create(default(), type=kind)))


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        pytest.param(json.dumps(classic(model="gpt-0")), "application/json", id="unknown model"),
        pytest.param(json.dumps(classic()), "text/plain", id="not said to be JSON"),
        pytest.param("{", "application/json", id="not JSON"),
    ],
)
@in_loop
async def test_the_refusal_reaches_the_client(
    tmp_path: Path, content: str, content_type: str
) -> None:
    headers = [("Authorization", f"Bearer {KEY}"), ("Content-Type", content_type)]
    async with talking(tmp_path) as talk:
        status, body = await talk.ask(headers=headers, data=content)
        assert [seen.status for seen in talk.standin.seen] == [400]
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
