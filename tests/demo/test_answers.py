"""What the model does: the script is played turn by turn, in the events of the real API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from demo.talk import (
    BETA,
    KEY,
    SCRIPT,
    URL,
    classic,
    create,
    default,
    in_loop,
    item_of,
    kinds,
    output_for,
    receive,
    talking,
    user,
)
from standin import Cut, Say, Shell, Silence, Stall, StandIn, Status
from standin.conversation import Conversation
from standin.errors import ApiError
from standin.events import javascript
from standin.script import parse_script, turn_at

CALL = [
    "created",
    "in_progress",
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
    "completed",
]
CUSTOM_CALL = [kind.replace("function_call_arguments", "custom_tool_call_input") for kind in CALL]
TEXT = [
    "created",
    "in_progress",
    "output_item.added",
    "content_part.added",
    *["output_text.delta"] * 3,
    "output_text.done",
    "content_part.done",
    "output_item.done",
    "completed",
]


@in_loop
async def test_a_classic_model_over_sse(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        first = await talk.stream(classic())
        call = item_of(first)
        second = await talk.stream(classic(user("go"), call, output_for(call, "one\n")))
    assert kinds(first) == CALL
    assert json.loads(call["arguments"])["cmd"] == "echo 'one'"
    assert kinds(second) == TEXT
    assert [event["sequence_number"] for event in second] == list(range(len(TEXT)))
    deltas = [event["delta"] for event in second if "delta" in event]
    assert deltas == ["All", " is", " done."]
    done = second[-1]["response"]
    assert done["status"] == "completed"
    assert done["output"] == [item_of(second)]
    usage = done["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
    assert talk.standin.tool_outputs == ["one\n"]


@in_loop
async def test_the_default_model_over_sse(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        first = await talk.stream(default())
        call = item_of(first)
        parts = [{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "\n"}]
        second = await talk.stream(default(user("go"), call, output_for(call, parts)))
    assert kinds(first) == CUSTOM_CALL
    assert (call["name"], call["input"]) == ("exec", javascript(Shell("echo 'one'")))
    assert kinds(second) == TEXT
    assert talk.standin.tool_outputs == ["one\n"]


@in_loop
async def test_a_title_is_given_beside_the_script(tmp_path: Path) -> None:
    """Codex's screen asks for one in a conversation of its own, and offers it the shell too."""
    schema = {"type": "object", "properties": {"title": {"type": "string", "maxLength": 36}}}
    form = {"type": "json_schema", "name": "codex_output_schema", "schema": schema}
    async with talking(tmp_path) as talk:
        titled = item_of(await talk.stream(default(text={"format": form})))
        plain = item_of(await talk.stream(default(text={"verbosity": "low"})))
    assert 0 < len(json.loads(titled["content"][0]["text"])["title"]) <= 36
    assert plain["type"] == "custom_tool_call"


@in_loop
async def test_without_stream_the_answer_is_one_object(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        status, response = await talk.ask(json=classic(stream=False))
    assert (status, response["object"], response["status"]) == (200, "response", "completed")
    assert response["output"][0]["name"] == "exec_command"


@in_loop
async def test_over_websocket_later_turns_hold_only_what_is_new(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk, talk.socket() as socket:
        assert socket.compress  # offered by the client, taken by the server
        bare = {"model": "gpt-6.1-sol", "stream": True}

        await socket.send_json(create(bare, input=[], generate=False))
        warm_up = await receive(socket)
        assert kinds(warm_up) == ["created", "in_progress", "completed"]

        known = warm_up[-1]["response"]["id"]
        await socket.send_json(create(default(), previous_response_id=known))
        first = await receive(socket)
        assert kinds(first) == CUSTOM_CALL

        known = first[-1]["response"]["id"]
        output = output_for(item_of(first), "one\n")
        await socket.send_json(create(bare, input=[output], previous_response_id=known))
        second = await receive(socket)
        assert kinds(second) == TEXT

        known = second[-1]["response"]["id"]
        await socket.send_json(create(bare, input=[user("more")], previous_response_id=known))
        assert kinds(await receive(socket)) == TEXT
    assert talk.standin.tool_outputs == ["one\n"]
    lines = (tmp_path / "outputs.jsonl").read_text().splitlines()
    assert [json.loads(line)["output"] for line in lines] == ["one\n"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (create(classic(), previous_response_id="resp_1"), "previous_response_not_found"),
        (create(classic(), type="response.cancel"), "invalid_value"),
        (create(classic(), model="gpt-0"), "model_not_found"),
    ],
)
@in_loop
async def test_a_bad_message_is_answered_and_the_next_one_too(
    tmp_path: Path, message: dict[str, Any], code: str
) -> None:
    async with talking(tmp_path) as talk, talk.socket() as socket:
        await socket.send_json(message)
        [error] = await receive(socket)
        assert (400, code) == (error["status"], error["error"]["code"])
        await socket.send_json(create(classic()))
        assert kinds(await receive(socket)) == CALL


@pytest.mark.parametrize(
    ("websocket", "headers", "expected"),
    [
        pytest.param(False, BETA, 426, id="turned off"),
        pytest.param(True, {}, 400, id="no beta header"),
        pytest.param(True, BETA | {"Authorization": "Bearer x"}, 401, id="wrong key"),
    ],
)
@in_loop
async def test_an_upgrade_can_be_refused(
    tmp_path: Path, websocket: bool, headers: dict[str, str], expected: int
) -> None:
    async with talking(tmp_path, websocket=websocket) as talk:
        given = {"Authorization": f"Bearer {KEY}", **headers}
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await talk.session.ws_connect(f"{URL}/v1/responses", headers=given)
        assert expected == caught.value.status
        assert [(expected, True)] == [(s.status, s.websocket) for s in talk.standin.seen]


@pytest.mark.parametrize("status", [401, 429, 500, 503])
@in_loop
async def test_told_to_fail_it_answers_with_that_status(tmp_path: Path, status: int) -> None:
    async with talking(tmp_path, fault=Status(status)) as talk:
        got, body = await talk.ask(json=classic())
        assert (status, True) == (got, bool(body["error"]["message"]))
        talk.standin.fault = None
        assert kinds(await talk.stream(classic())) == CALL
        assert [(status, True), (200, True)] == [
            (seen.status, seen.authorized) for seen in talk.standin.seen
        ]


@in_loop
async def test_cut_breaks_off_in_the_middle(tmp_path: Path) -> None:
    async with talking(tmp_path, fault=Cut()) as talk:
        with pytest.raises(aiohttp.ClientPayloadError):
            await talk.stream(classic())
        async with talk.socket() as socket:
            await socket.send_json(create(classic()))
            messages = [message async for message in socket]
            assert 0 < len(messages) < len(CALL)
            assert socket.closed


@in_loop
async def test_stall_falls_silent_in_the_middle(tmp_path: Path) -> None:
    async with talking(tmp_path, fault=Stall()) as talk, talk.socket() as socket:
        await socket.send_json(create(classic()))
        assert (await socket.receive_json())["type"] == "response.created"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(socket), 0.5)


@in_loop
async def test_silence_answers_and_sends_nothing(tmp_path: Path) -> None:
    async with talking(tmp_path, fault=Silence()) as talk:
        async with talk.socket() as socket:
            await socket.send_json(create(classic()))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.receive_json(), 0.5)
        headers = {"Authorization": f"Bearer {KEY}"}
        async with talk.session.post(
            f"{URL}/v1/responses", headers=headers, json=classic()
        ) as answer:
            assert 200 == answer.status
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(answer.content.read(1), 0.5)


@in_loop
async def test_the_key_is_echoed_only_when_told_to(tmp_path: Path) -> None:
    for echo in (True, False):
        async with talking(tmp_path, script=SCRIPT[-1:], echo_authorization=echo) as talk:
            headers = {"Authorization": f"Bearer {KEY}"}
            url = f"{URL}/v1/responses"
            async with talk.session.post(url, headers=headers, json=classic()) as answer:
                assert (echo, echo) == (KEY in str(answer.headers), KEY in await answer.text())
            async with talk.socket() as socket:
                assert echo == (KEY in str(socket._response.headers))
                await socket.send_json(create(classic()))
                assert echo == (KEY in item_of(await receive(socket))["content"][0]["text"])
            _, models = await talk.ask("GET", "/v1/models")
            assert echo == (KEY in json.dumps(models))


def test_an_output_must_answer_a_call_and_a_call_must_be_answered() -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "x", "arguments": "{}"}
    output = output_for(call, "")
    assert Conversation().hear_request(classic(call, output)).taken == 1
    for items in ([call], [output], [output, call]):
        with pytest.raises(ApiError, match="call_1"):
            Conversation().hear_request(classic(*items))


def test_a_second_output_of_the_same_call_is_no_further_turn() -> None:
    call = {"type": "custom_tool_call", "call_id": "call_1", "name": "exec", "input": ""}
    output = output_for(call, "")
    assert Conversation().hear_request(default(call, output, output)).taken == 1


def test_after_the_end_of_the_script_its_last_word_is_repeated() -> None:
    script = [Shell("a"), Say("b"), Shell("c"), Say("d")]
    played = [turn_at(script, taken, has_shell=True) for taken in range(6)]
    assert [*script, Say("d"), Say("d")] == played


def test_without_a_shell_the_model_only_talks() -> None:
    assert Say("b") == turn_at([Shell("a"), Say("b")], 0, has_shell=False)


def test_a_command_is_quoted_for_javascript() -> None:
    code = javascript(Shell("echo \"a\" '\\n' `x` ${y}\n\u2028</script>"))
    argument = code.splitlines()[1].removeprefix("text(await tools.exec_command(")
    assert json.loads(argument[:-2])["cmd"] == "echo \"a\" '\\n' `x` ${y}\n\u2028</script>"
    assert code.isascii()


@pytest.mark.parametrize(
    "text", ["{}", "[]", '[{"shell": "a"}]', '[{"say": "a", "x": 1}]', '[{"say": 1}]', "["]
)
def test_a_script_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_script(text)


def test_a_script_can_be_written_in_json() -> None:
    expected = (Shell("ls"), Say("done"))
    assert expected == parse_script('[{"shell": "ls"}, {"say": "done"}]')


def test_an_empty_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="empty"):
        StandIn(tmp_path, key="", script=SCRIPT)
