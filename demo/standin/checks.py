"""What a request must be before its body counts: the right host, the right key, the right door."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from .errors import ApiError, wrong_key

HOST = "api.openai.com"
BETA = "responses_websockets=2026-02-06"

# Exact paths: what is spelled otherwise (`//v1`, `%2e`, a whole URL) is another path.
DOORS: Mapping[str, Sequence[str]] = {
    "/v1/models": ("GET",),
    "/v1/responses": ("GET", "POST"),
}


def check_host(hosts: Sequence[str]) -> None:
    """Raise ApiError 400 unless there is one Host header, 421 if it names another host."""
    if len(hosts) != 1:
        raise ApiError(400, f"Expected one Host header, got {len(hosts)}.")
    if hosts[0] not in (HOST, f"{HOST}:443"):
        raise ApiError(421, "Misdirected request: this server answers for another host.")


def is_authorized(authorization: Sequence[str], key: str) -> bool:
    """Tell whether the Authorization values are exactly one, and that one the key as Bearer."""
    if len(authorization) != 1:
        return False
    given = authorization[0].encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, f"Bearer {key}".encode())


def check_key(authorization: Sequence[str], key: str) -> None:
    """Raise ApiError 401 unless the request is authorized."""
    if not is_authorized(authorization, key):
        raise wrong_key(list(authorization))


def check_door(method: str, path: str) -> None:
    """Raise ApiError 404 for an unknown path, 405 for a method it does not have."""
    if path not in DOORS:
        raise ApiError(404, f"Invalid URL ({method} {path})")
    if method not in DOORS[path]:
        raise ApiError(405, f"Not allowed to {method} on {path}.", code="method_not_supported")


def check_upgrade(upgrade: str, beta: str, *, websocket: bool) -> None:
    """Raise ApiError unless this GET /v1/responses asks for the WebSocket that is offered.

    405 without an upgrade, 426 if WebSocket is turned off, 400 without the OpenAI-Beta header.
    """
    if upgrade.lower() != "websocket":
        raise ApiError(405, "Not allowed to GET on /v1/responses.", code="method_not_supported")
    if not websocket:
        raise ApiError(426, "WebSocket is not offered here; use HTTP.")
    if BETA not in [word.strip() for word in beta.split(",")]:
        raise ApiError(400, f"Expected the header OpenAI-Beta: {BETA}.")
