"""The fixed values of the Codex provider."""

from __future__ import annotations

from moat.core.hosts import HostPattern

# The grant's canonical id: credentials are stored and recorded under it.
GRANT_REF = "openai"

API_HOST = HostPattern("api.openai.com")

# Has the form of a real key, for tools that check before they ask.
OPENAI_API_KEY_PLACEHOLDER = "sk-moat-proxy-injected-placeholder-" + "0" * 40
