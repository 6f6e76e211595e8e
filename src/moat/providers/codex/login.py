"""A login that is none: `auth.json` with the placeholder."""

from __future__ import annotations

import json

from moat.providers.codex.constants import OPENAI_API_KEY_PLACEHOLDER


def auth_json() -> bytes:
    """`auth.json` as Codex writes it for an API key, so that it takes itself for logged in.

    Nothing but this one key: an unknown one may make Codex ignore the file.
    """
    return json.dumps({"OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER}, indent=2).encode() + b"\n"
