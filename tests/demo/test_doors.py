"""Who gets in: the stand-in refuses what the real API refuses, and lets the rest pass."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from demo.talk import KEY, classic, in_loop, talking
from standin import Seen

GOOD = ("Authorization", f"Bearer {KEY}")


@in_loop
async def test_the_key_lets_in(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        status, body = await talk.ask("GET", "/v1/models")
    assert (status, body["object"]) == (200, "list")
    assert "gpt-6.1-sol" in [model["id"] for model in body["data"]]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param([("Authorization", f"Bearer {KEY}x")], id="wrong"),
        pytest.param([("Authorization", "Bearer placeholder")], id="placeholder"),
        pytest.param([("Authorization", "Bearer ")], id="empty"),
        pytest.param([("Authorization", KEY)], id="no scheme"),
        pytest.param([("Authorization", f"Basic {KEY}")], id="wrong scheme"),
        pytest.param([("Authorization", f"bearer {KEY}")], id="lower case"),
        pytest.param([("Authorization", f"Bearer  {KEY}")], id="two spaces"),
        pytest.param([GOOD, GOOD], id="twice"),
        pytest.param([GOOD, ("Authorization", "Bearer placeholder")], id="good, then bad"),
        pytest.param([("x-api-key", KEY)], id="another header"),
    ],
)
@in_loop
async def test_anything_but_the_key_is_401(tmp_path: Path, headers: list[tuple[str, str]]) -> None:
    async with talking(tmp_path) as talk:
        status, body = await talk.ask(headers=headers, json=classic())
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    assert "API key" in body["error"]["message"]
    assert KEY not in json.dumps(body)


@in_loop
async def test_the_key_is_asked_for_before_the_path_is_told(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        status, _ = await talk.ask("GET", "/v1/secrets", headers=[])
    assert status == 401


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/models/", 404),
        ("POST", "/v1/chat/completions", 404),
        ("POST", "/v1/models", 405),
        ("DELETE", "/v1/responses", 405),
        ("GET", "/v1/responses", 405),
        ("OPTIONS", "/v1/responses", 405),
        ("GET", "/v1/models?limit=1", 200),
    ],
)
@in_loop
async def test_only_the_doors_that_are_there(
    tmp_path: Path, method: str, path: str, expected: int
) -> None:
    async with talking(tmp_path) as talk:
        status, _ = await talk.ask(method, path)
    assert expected == status


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(["GET /v1/models HTTP/1.1", "Host: api.openai.com"], 200, id="as it should"),
        pytest.param(["GET /v1/models HTTP/1.1", "Host: api.openai.com:443"], 200, id="with port"),
        pytest.param(["GET /v1/models HTTP/1.1"], 400, id="no host"),
        pytest.param(["GET /v1/models HTTP/1.1", "Host: evil.example"], 421, id="another host"),
        pytest.param(["GET /v1/models HTTP/1.1", "Host: api.openai.com."], 421, id="dot"),
        pytest.param(["GET /v1/models HTTP/1.1", "Host: api.openai.com:80"], 421, id="other port"),
        pytest.param(
            ["GET /v1/models HTTP/1.1", "Host: api.openai.com", "Host: evil.example"],
            400,
            id="two hosts",
        ),
        pytest.param(["GET //v1/models HTTP/1.1", "Host: api.openai.com"], 404, id="slashes"),
        pytest.param(["GET /v1/%6dodels HTTP/1.1", "Host: api.openai.com"], 404, id="escaped"),
        pytest.param(["GET /v1/./models HTTP/1.1", "Host: api.openai.com"], 404, id="dot segment"),
        pytest.param(
            ["GET https://api.openai.com/v1/models HTTP/1.1", "Host: api.openai.com"],
            404,
            id="a whole URL",
        ),
    ],
)
@in_loop
async def test_host_and_path_are_taken_literally(
    tmp_path: Path, lines: list[str], expected: int
) -> None:
    async with talking(tmp_path) as talk:
        context = ssl.create_default_context(cafile=str(talk.standin.ca_file))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", talk.standin.port, ssl=context, server_hostname="api.openai.com"
        )
        head = [*lines, f"Authorization: Bearer {KEY}", "Connection: close", "", ""]
        writer.write("\r\n".join(head).encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.split(b" ", 2)[1] == str(expected).encode()


@in_loop
async def test_another_server_name_gets_no_handshake(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        context = ssl.create_default_context(cafile=str(talk.standin.ca_file))
        # Whether the alert or the end of the connection is seen first is a race.
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.open_connection(
                "127.0.0.1", talk.standin.port, ssl=context, server_hostname="evil.example"
            )


@in_loop
async def test_every_request_is_recorded_without_the_key(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.ask("GET", "/v1/models?a=b")
        await talk.ask(headers=[("Authorization", "Bearer placeholder")], json=classic())
        await talk.ask(headers=[], json=classic())
        async with talk.socket():
            pass

    def seen(method: str, path: str, value: str | None, status: int, **more: Any) -> Seen:
        digest = None if value is None else hashlib.sha256(value.encode()).hexdigest()
        return Seen(
            method=method,
            path=path,
            host="api.openai.com",
            authorized=status != 401,
            authorization_digest=digest,
            status=status,
            websocket=more.get("websocket", False),
        )

    expected = [
        seen("GET", "/v1/models?a=b", f"Bearer {KEY}", 200),
        seen("POST", "/v1/responses", "Bearer placeholder", 401),
        seen("POST", "/v1/responses", None, 401),
        seen("GET", "/v1/responses", f"Bearer {KEY}", 101, websocket=True),
    ]
    assert expected == talk.standin.seen
    lines = (tmp_path / "seen.jsonl").read_text().splitlines()
    assert expected == [Seen(**json.loads(line)) for line in lines]
    assert all(KEY.encode() not in file.read_bytes() for file in tmp_path.iterdir())


@in_loop
async def test_only_the_owner_can_read_the_private_key(tmp_path: Path) -> None:
    async with talking(tmp_path):
        mode = stat.S_IMODE((tmp_path / "server.pem").stat().st_mode)
    assert mode == 0o600
    assert b"PRIVATE" not in (tmp_path / "ca.pem").read_bytes()


@in_loop
async def test_the_certificate_says_what_it_is_for(tmp_path: Path) -> None:
    """Strict verifiers ask for all of these (RFC 5280, section 4.2)."""
    async with talking(tmp_path):
        ca = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
        server = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes())
    server.verify_directly_issued_by(ca)
    held = {extension.oid._name for extension in server.extensions}
    assert held == {
        "subjectAltName",
        "basicConstraints",
        "keyUsage",
        "extendedKeyUsage",
        "subjectKeyIdentifier",
        "authorityKeyIdentifier",
    }
