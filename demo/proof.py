"""The demo's claims, each checked: what is not so raises."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from moat.providers.codex import OPENAI_API_KEY_PLACEHOLDER
from stage import ELSEWHERE, DemoFailed

# So much of a key in common is no accident.
_FRAGMENT = 12


def demand(condition: bool, claim: str) -> None:
    """Raise DemoFailed unless a claim holds."""
    if not condition:
        raise DemoFailed(f"this should be so, and is not: {claim}")


def check_trace(trace: Iterable[dict[str, object]]) -> int:
    """What went to the API was forwarded and got the grant, what went elsewhere was refused.

    Returns how many were forwarded.
    """
    forwarded = 0
    refused = set()
    for exchange in trace:
        if exchange["host"] == "api.openai.com":
            demand(exchange["outcome"] == "forwarded", "every request to the API was forwarded")
            demand(exchange["grants"] == ["openai"], "every one got the key on its way out")
            forwarded += 1
        else:
            demand(exchange["outcome"] == "refused", "every other request was refused")
            demand(exchange["grants"] == [], "no refused request got the key")
            refused.add(exchange["host"])
    demand(forwarded > 0, "the trace shows the requests of the run")
    demand(refused == {ELSEWHERE}, f"the trace shows that {ELSEWHERE} was refused")
    return forwarded


def check_search(found: str, key: str) -> dict[str, int]:
    """The search of the box saw its processes and found the placeholder, and nothing of the key.

    Returns how many of each: places where the placeholder was, other look-alikes, memories.
    """
    demand(key not in found, "the real key is nowhere in what the box could find")
    counts = {"placeholder": 0, "others": 0, "memories": 0}
    for line in found.splitlines():
        if line.startswith("searched: memory"):
            counts["memories"] += 1
        place, tab, value = line.partition("\t")
        if not tab:
            continue
        demand(not shares_a_fragment(value, key), f"no part of the real key is in: {place}")
        counts["placeholder" if value == OPENAI_API_KEY_PLACEHOLDER else "others"] += 1
    demand(counts["memories"] >= 2, "the memory of the box's processes could be searched")
    for place in ("environment of", "files below /home", "memory of"):
        demand(
            any(
                line.startswith(place) and line.endswith(OPENAI_API_KEY_PLACEHOLDER)
                for line in found.splitlines()
            ),
            f"the search can find what is there: the placeholder in {place}…",
        )
    return counts


def shares_a_fragment(value: str, key: str) -> bool:
    """Whether any stretch of the secret part of the key stands in a value."""
    secret = key.rpartition("-")[2]
    return any(
        secret[start : start + _FRAGMENT] in value for start in range(len(secret) - _FRAGMENT + 1)
    )


def check_seen(seen: Iterable[dict[str, object]], key: str) -> int:
    """The stand-in got the real key with every request, and nothing else; how many there were."""
    seen = list(seen)
    expected = hashlib.sha256(f"Bearer {key}".encode()).hexdigest()
    demand(bool(seen), "the stand-in was asked")
    for request in seen:
        demand(request["authorized"] is True, "every request carried the real key")
        demand(request["authorization_digest"] == expected, "it came as it should, and alone")
        demand(request["path"] in ("/v1/models", "/v1/responses"), "nothing else was asked")
    return len(seen)
