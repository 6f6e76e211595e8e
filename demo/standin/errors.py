"""Refusals, in the words and the JSON shape of the real API."""

from __future__ import annotations

from typing import Any

KEYS_PAGE = "https://platform.openai.com/account/api-keys"


class ApiError(Exception):
    """One refusal: an HTTP status and what goes into the `error` object of the body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.kind = kind

    def body(self) -> dict[str, Any]:
        """Return the JSON body the API sends with this refusal."""
        error = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}


def wrong_key(authorization: list[str]) -> ApiError:
    """Return the 401 for these Authorization values, none of which is repeated in full."""
    scheme, _, key = authorization[0].partition(" ") if len(authorization) == 1 else ("", "", "")
    if scheme != "Bearer" or not key:
        message = (
            "You didn't provide an API key. You need to provide your API key in one Authorization "
            "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API "
            f"key from {KEYS_PAGE}."
        )
    else:
        message = (
            f"Incorrect API key provided: {_mask(key)}. You can find your API key at {KEYS_PAGE}."
        )
    return ApiError(401, message, code="invalid_api_key")


def on_purpose(status: int) -> ApiError:
    """Return what the API says with this status, for a stand-in that was told to fail."""
    match status:
        case 401:
            return wrong_key(["Bearer refused-on-purpose"])
        case 429:
            return ApiError(
                429,
                "Rate limit reached for requests.",
                code="rate_limit_exceeded",
                kind="requests",
            )
        case _ if status >= 500:
            message = "The server had an error while processing your request. Sorry about that!"
            return ApiError(status, message, kind="server_error")
        case _:
            return ApiError(status, f"Answered with {status} on purpose.")


def _mask(key: str) -> str:
    """Show the ends of a long key only, as the API does."""
    return f"{key[:3]}{'*' * (len(key) - 7)}{key[-4:]}" if len(key) >= 20 else "*" * len(key)
