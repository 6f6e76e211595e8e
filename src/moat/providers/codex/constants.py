"""The fixed values of the Codex provider."""

from __future__ import annotations

from moat.core.hosts import HostPattern

# The grant's canonical id: credentials are stored and recorded under it.
GRANT_REF = "openai"

API_HOST = HostPattern("api.openai.com")

CODEX_INIT_MOUNT_PATH = "/moat/codex-init"
"""Where a container sees its staging directory; what is there becomes ~/.codex at its start."""

OPENAI_API_KEY_PLACEHOLDER = "sk-moat-proxy-injected-placeholder-" + "0" * 40
"""Has the form of a real key, for programs that check before they ask."""

PROXY_INJECTED_PLACEHOLDER = "moat-proxy-injected"
"""Stands for a credential of no particular form; the proxy puts the real one in on the wire."""


def default_dependencies() -> tuple[str, ...]:
    """What the Codex CLI needs in a box: `git`, and itself.

    No Node among them: what is installed is Codex's native program, which needs none.
    """
    return ("git", "codex-cli")


def network_hosts() -> tuple[str, ...]:
    """The hosts a run of Codex must reach: its API, and no other.

    chatgpt.com, auth.openai.com and the rest of openai.com are for logging in with ChatGPT, for
    analytics, plugins and announcements. A run logs in with an API key and its settings switch
    the others off, so allowing them would only widen what the agent can reach.
    """
    return (str(API_HOST),)
