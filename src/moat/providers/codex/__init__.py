"""The Codex credential and agent provider."""

from __future__ import annotations

from moat.providers.codex.constants import OPENAI_API_KEY_PLACEHOLDER
from moat.providers.codex.provider import Provider

PROVIDER = Provider()

__all__ = ["OPENAI_API_KEY_PLACEHOLDER", "PROVIDER", "Provider"]
