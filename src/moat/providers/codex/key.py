"""Getting an OpenAI API key from a person, and asking OpenAI whether it is good."""

from __future__ import annotations

import datetime
import re

from moat.config.settings import Upstream
from moat.core.secret import Secret
from moat.errors import GrantError
from moat.providers.codex.constants import GRANT_REF
from moat.providers.http import HttpFailed, get_status
from moat.providers.interface import Granted, GrantIO
from moat.vault.credential import Credential

VARIABLE = "OPENAI_API_KEY"
VALIDATION_TIMEOUT = 30.0
_KEY = re.compile(r"sk-[\x21-\x7e]+")


def acquire_key(io: GrantIO) -> Granted:
    """Take the key from the environment or ask for it, then validate it. Raises GrantError."""
    key, source = _obtain(io)
    warnings = _validate(key, io.upstream)
    credential = Credential(GRANT_REF, Secret(key), datetime.datetime.now(datetime.UTC))
    return Granted(credential, source, warnings)


def _obtain(io: GrantIO) -> tuple[str, str]:
    # An empty variable is as good as none, as everywhere.
    if given := io.environ.get(VARIABLE):
        return check_form(given), f"${VARIABLE}"
    if io.ask is None:
        raise GrantError(
            "there is no OpenAI API key, and no terminal to ask for one",
            hint=f"put it in the environment: {VARIABLE}=sk-… moat grant {GRANT_REF}",
        )
    return check_form(io.ask("OpenAI API key (not shown): ")), "the prompt"


def check_form(text: str) -> str:
    """The key without surrounding space. Raises GrantError if it cannot be one."""
    key = text.strip()
    if not key:
        raise GrantError(
            "the API key is empty", hint="keys are made at platform.openai.com/api-keys"
        )
    if not _KEY.fullmatch(key):
        raise GrantError(
            'that is no OpenAI API key: they start with "sk-" and hold no spaces',
            hint="keys are made at platform.openai.com/api-keys",
        )
    return key


def _validate(key: str, upstream: Upstream) -> tuple[str, ...]:
    try:
        status, body = get_status(
            "api.openai.com",
            "/v1/models",
            {"Authorization": f"Bearer {key}"},
            upstream=upstream,
            timeout=VALIDATION_TIMEOUT,
        )
    except HttpFailed as failure:
        raise GrantError(
            f"the key could not be validated: {failure}",
            hint="check the network, and upstream in config.yaml, then run: moat grant openai",
        ) from None
    return judge(status, body)


def judge(status: int, body: bytes) -> tuple[str, ...]:
    """What the answer to a validation means: warnings for a good key. Raises GrantError."""
    if status == 200:
        return ()
    if status == 429:
        return ("the key is valid, but OpenAI says its rate limit or quota is used up",)
    if status == 403 and b"api.model.read" in body:
        return ("the key is valid, but may not list models, so it was not fully checked",)
    if status == 401:
        raise GrantError(
            "OpenAI rejected the key (401)",
            hint="check that it was copied whole and has not been revoked: "
            "platform.openai.com/api-keys",
        )
    if status == 403:
        raise GrantError(
            "OpenAI refused the key (403): it lacks permission, or its country is not served",
            hint="check the permissions of the key at platform.openai.com/api-keys",
        )
    raise GrantError(
        f"OpenAI answered {status} when asked about the key",
        hint="try again later: moat grant openai",
    )
