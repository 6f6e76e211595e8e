"""The OpenAI API key: its form, where it comes from, and asking OpenAI whether it is good."""

from __future__ import annotations

import re

from moat.config.settings import Upstream
from moat.errors import GrantError
from moat.providers.codex.account import Account
from moat.providers.codex.constants import API_HOST, GRANT_REF
from moat.providers.http import HttpFailed, get_status
from moat.providers.interface import GrantIO

VARIABLE = "OPENAI_API_KEY"
VALIDATION_TIMEOUT = 30.0
_KEY = re.compile(r"sk-[\x21-\x7e]+")
_KEYS_PAGE = "platform.openai.com/api-keys"
# The codes and messages with which the API refuses the account and not the key.
_WRONG_ACCOUNT = (
    b"mismatched_organization",
    b"invalid_organization",
    b"No such organization",
    b"mismatched_project",
    b"invalid_project",
    b"No such project",
)


def obtain_key(io: GrantIO) -> tuple[str, str]:
    """A key and where it is from: the environment first, then a person. Raises GrantError.

    A variable that holds nothing but space is as good as none.
    """
    if given := io.environ.get(VARIABLE, "").strip():
        return check_form(given), f"${VARIABLE}"
    if io.ask is None:
        raise GrantError(
            "there is no OpenAI API key, and no terminal to ask for one",
            hint=f"put it in the environment: {VARIABLE}=sk-… moat grant {GRANT_REF}",
        )
    try:
        answer = io.ask("OpenAI API key (not shown): ")
    except EOFError:
        raise GrantError("no key was given", hint=f"run: moat grant {GRANT_REF}") from None
    return check_form(answer), "the prompt"


def check_form(text: str) -> str:
    """The key without surrounding space. Raises GrantError if it cannot be one."""
    key = text.strip()
    if not key:
        raise GrantError("the API key is empty", hint=f"keys are made at {_KEYS_PAGE}")
    if not _KEY.fullmatch(key):
        raise GrantError(
            'that is no OpenAI API key: they start with "sk-" and hold no spaces',
            hint=f"keys are made at {_KEYS_PAGE}",
        )
    return key


def validate(key: str, account: Account, upstream: Upstream) -> tuple[str, ...]:
    """Ask OpenAI about a key: warnings for a good one. Raises GrantError for any other.

    The request is the cheapest one there is, GET /v1/models.
    """
    try:
        status, body = get_status(
            API_HOST.host,
            "/v1/models",
            {"Authorization": f"Bearer {key}", **account.headers()},
            upstream=upstream,
            timeout=VALIDATION_TIMEOUT,
        )
    except HttpFailed as failure:
        raise GrantError(
            f"the key could not be validated: {failure}",
            hint="check the network, and upstream in config.yaml, then run: moat grant openai",
        ) from None
    return judge(status, body, account)


def judge(status: int, body: bytes, account: Account) -> tuple[str, ...]:
    """What the answer to a validation means: warnings for a good key. Raises GrantError."""
    if status == 200:
        if not body.lstrip().startswith(b"{"):
            raise GrantError(
                "what answered is not the OpenAI API: a list of models was asked for, and "
                "something else came",
                hint="see what stands between: a gateway, or upstream in config.yaml",
            )
        return ()
    if status == 429:
        return ("the key is valid, but OpenAI says its rate limit or quota is used up",)
    # A restricted key may well do all that Codex needs.
    if status == 403 and b"api.model.read" in body:
        return ("the key is valid, but may not list models, so it was not fully checked",)
    if status in (401, 403) and account.ids and any(word in body for word in _WRONG_ACCOUNT):
        raise GrantError(
            f"OpenAI says that the key does not go with {account} ({status})",
            hint="see which the key belongs to at platform.openai.com/settings/organization, or "
            "leave the option out",
        )
    if status == 401:
        raise GrantError(
            "OpenAI rejected the key (401)",
            hint=f"check that it was copied whole and has not been revoked: {_KEYS_PAGE}",
        )
    if status == 403:
        raise GrantError(
            "OpenAI refused the key (403): it lacks permission, or its country is not served",
            hint=f"check the permissions of the key at {_KEYS_PAGE}, and where you are",
        )
    later = status >= 500
    raise GrantError(
        f"OpenAI answered {status} when asked about the key",
        hint="try again later: moat grant openai"
        if later
        else "the API answers otherwise; see what stands between: a gateway, or upstream in "
        "config.yaml",
    )
