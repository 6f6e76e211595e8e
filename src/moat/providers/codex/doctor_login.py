"""What kind of login an auth.json holds, told in words that are all from here."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping
from typing import Any

from moat.core.finding import Finding
from moat.providers.codex.constants import OPENAI_API_KEY_PLACEHOLDER

_SUBJECT = "auth.json"
# Where OpenAI's tokens name the account, and the plans that are known. Another is not repeated.
_CLAIM = "https://api.openai.com/auth"
_PLANS = frozenset({"free", "go", "plus", "pro", "team", "business", "enterprise", "edu"})
_NOT_USED = "runs do not use it, but the grant openai"


def describe_login(document: Any) -> Finding:
    """One finding about a parsed auth.json."""
    if not isinstance(document, Mapping):
        return _wrong_shape()
    key, tokens = document.get("OPENAI_API_KEY"), document.get("tokens")
    if not isinstance(key, str | None) or not isinstance(tokens, Mapping | None):
        return _wrong_shape()
    if tokens:
        also = ", and an API key" if key else ""
        return Finding("ok", _SUBJECT, f"a ChatGPT login{_account(tokens)}{also}; {_NOT_USED}")
    if key == OPENAI_API_KEY_PLACEHOLDER:
        detail = "Moat's placeholder, which is good in a box only"
        return Finding("warn", _SUBJECT, detail, "log in anew: codex login")
    if key:
        return Finding("ok", _SUBJECT, f"an API key; {_NOT_USED}")
    return Finding("ok", _SUBJECT, "no login")


def _wrong_shape() -> Finding:
    detail = "JSON, but no login that Codex writes"
    return Finding("warn", _SUBJECT, detail, "log in anew: codex login")


def _account(tokens: Mapping[str, Any]) -> str:
    """What the tokens say of themselves: the plan, and how long the access token lasts."""
    facts = []
    claim = _claims(tokens.get("id_token")).get(_CLAIM)
    plan = claim.get("chatgpt_plan_type") if isinstance(claim, Mapping) else None
    if isinstance(plan, str) and plan in _PLANS:
        facts.append(f"plan {plan}")
    expiry = _date(_claims(tokens.get("access_token")).get("exp"))
    if expiry:
        facts.append(f"token good until {expiry}")
    return f" ({', '.join(facts)})" if facts else ""


def _claims(token: object) -> Mapping[str, Any]:
    """The claims of a JWT (RFC 7519), unverified: they are shown and decide nothing."""
    if not isinstance(token, str) or token.count(".") != 2:
        return {}
    payload = token.split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, Mapping) else {}


def _date(seconds: object) -> str | None:
    if not isinstance(seconds, int | float):
        return None
    try:
        return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return None
