"""Which of a run's limits hold on this machine, and by what. A box is made with all of them, so
that this says what became of it, and not what should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from moat.config.paths import Home
from moat.core.finding import Finding
from moat.core.limits import MIB, OPTIONS, LimitName, Limits
from moat.doctor.box import try_a_box
from moat.errors import RuntimeUnavailable

_LIMITS = Limits(wall=60, memory=512 * MIB, processes=512, cpus=1, disk=64 * MIB, files=256)
_WORDS: Mapping[LimitName, str] = {name: word for word, name in OPTIONS.items()}


def check_limits(_: Home) -> Iterator[Finding]:
    """What holds each limit here."""
    try:
        held = try_a_box(_LIMITS).held
    except RuntimeUnavailable:
        held = try_a_box(_LIMITS._replace(cpus=None)).held
    held = {"wall": "the supervisor", **held}
    yield from findings(held, systemd=Path("/run/systemd/system").is_dir())


def findings(held: Mapping[LimitName, str], *, systemd: bool) -> Iterator[Finding]:
    """What is said of limits held so; `systemd` says whether that can give groups away."""
    by: dict[str, list[str]] = {}
    for name, word in _WORDS.items():
        if held.get(name, "watched") != "watched":
            by.setdefault(held[name], []).append(word)
    told = "; ".join(f"{', '.join(words)}: {how}" for how, words in by.items())
    yield Finding("ok", "limits", f"held by {told}")
    hint = "run moat where it can make control groups"
    if systemd:
        hint = "start runs in a group of their own: systemd-run --user --scope moat run …"
    if watched := [word for name, word in _WORDS.items() if held.get(name) == "watched"]:
        detail = "watched by Moat, which ends a run soon after it went over the limit"
        yield Finding("warn", "limits", f"{', '.join(watched)}: {detail}", hint)
    if "cpus" not in held:
        detail = "nothing holds it; a run with --cpus is refused"
        yield Finding("warn", "limits", f"cpus: {detail}", hint)
