"""What a person types for a grant: names, headers and what goes into them, checked."""

from __future__ import annotations

import re

from moat.errors import GrantError, UsageError

PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""The form of a name that the person gives a grant."""

# RFC 9110 section 5.6.2.
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_CREDENTIAL = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
# What frames a request, names its place or is about one connection is not a credential's to set.
_FRAMING = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Shorter ones stand in any text by chance, so answers are not looked through for them.
_SHORTEST = 8


def check_header(name: str) -> str:
    """The name of a header that a credential can go into. Raises UsageError."""
    # As some servers compare them.
    if not _NAME.fullmatch(name) or name.lower().replace("_", "-") in _FRAMING:
        raise UsageError(
            f"{name!r} is no header a credential can go into",
            hint="one has letters, digits and -, as in Authorization or X-Api-Key, and is none "
            "that frames a request",
        )
    return name


def default_format(header: str) -> str:
    """How a token stands in a header: Authorization has a scheme before it, RFC 6750."""
    return "Bearer {}" if header.lower() == "authorization" else "{}"


def notes_on_length(secret: str) -> tuple[str, ...]:
    """What the person should know of a secret that is too short to be told from other text."""
    if len(secret) >= _SHORTEST:
        return ()
    return (
        f"it has fewer than {_SHORTEST} characters, so it is not taken out of answers that repeat "
        "it: what the host sends back, the box can read",
    )


def check_credential(text: str) -> str:
    """What can stand in a header, less the space around it. Raises GrantError, not showing it."""
    text = text.strip()
    if not _CREDENTIAL.fullmatch(text):
        raise GrantError(
            "that is no token: it is empty, or holds what cannot stand in a header",
            hint="check that it was copied whole, without line ends",
        )
    return text
