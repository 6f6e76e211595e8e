"""Whether a client asks for plain text (RFC 9110 section 12.5.1)."""

from __future__ import annotations

import re

_JSON = ("application/problem+json", "application/json", "application/*", "*/*")
_TEXT = ("text/plain", "text/*", "*/*")
_WEIGHT = re.compile(r"[01](?:\.[0-9]{0,3})?")


def prefers_text(accept: str) -> bool:
    """Whether the value of an Accept header puts text before JSON; an empty one does not."""
    if "text/" not in accept.lower():
        return False
    weights: dict[str, float] = {}
    for element in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in element.split(";"))
        weights[kind] = max(weights.get(kind, 0.0), _weight(parameters))
    return _best(weights, _TEXT) > _best(weights, _JSON)


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            value = value.strip()
            return float(value) if _WEIGHT.fullmatch(value) else 0.0
    return 1.0


def _best(weights: dict[str, float], kinds: tuple[str, ...]) -> float:
    """The weight of the most exact of these that is named."""
    return next((weights[kind] for kind in kinds if kind in weights), 0.0)
