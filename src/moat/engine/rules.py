"""What a rule says: which hosts, which requests to them, and who said so.

A denial is wider than what it names, an allowance never is: `deny` without a port means every
port, and `deny GET /admin` also `/Admin/`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from moat.core.hosts import Destination, HostPattern
from moat.engine.paths import folded
from moat.engine.patterns import PathPattern

Action = Literal["allow", "deny"]
Source = Literal["live", "settings", "option", "file", "project", "agent", "grant"]

_SOURCES: dict[Source, str] = {
    "live": "said during the run",
    "settings": "config.yaml",
    "option": "--allow-host",
    "file": "--policy",
    "project": "moat.yaml",
    "agent": "the agent needs it",
    "grant": "a grant is bound to it",
}
_NAMED_BY_THE_PERSON = frozenset({"live", "settings", "option", "file", "project"})
_METHOD = re.compile(r"\*|[A-Za-z][A-Za-z-]{0,31}")


class PathRule(NamedTuple):
    """One line about requests to a host: `allow GET /repos/**`; GET means HEAD as well."""

    action: Action
    method: str
    path: PathPattern

    @classmethod
    def parse(cls, text: str) -> PathRule:
        """Read one as a person writes it. Raises ValueError with the reason."""
        words = _words(text)
        if len(words) != 3 or words[0] not in ("allow", "deny"):
            raise ValueError(f"{text!r} is not allow or deny, a METHOD or *, and a /path")
        action: Action = "deny" if words[0] == "deny" else "allow"
        if not _METHOD.fullmatch(words[1]):
            raise ValueError(f"{text!r}: {words[1]!r} is no method")
        pattern = PathPattern.parse(words[2], folding=action == "deny")
        return cls(action, words[1].upper(), pattern)

    def matches(self, method: str, parts: Sequence[str], loose: Sequence[str]) -> bool:
        """Whether it speaks of a request; `parts` are the segments of its path, and `loose` the
        same as `folded` makes them.

        An allowance is for exactly what it says, a denial also for other cases of letters.
        """
        if self.action == "deny":
            return self._is_for(method.upper()) and self.path.matches(loose)
        return self._is_for(method) and self.path.matches(parts)

    def _is_for(self, method: str) -> bool:
        wanted = self.method
        return wanted in ("*", method) or (wanted == "GET" and method == "HEAD")

    def __str__(self) -> str:
        return f"{self.action} {self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A host, or all below one, and what becomes of requests to it.

    With `paths` the first of them that speaks of a request decides, and a request none speaks of
    is denied. `every_port` goes with a denial; `group` is the one that the host was named by.
    """

    pattern: HostPattern
    source: Source
    action: Action = "allow"
    paths: tuple[PathRule, ...] = ()
    every_port: bool = False
    group: str | None = field(default=None, compare=False)
    _denies: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        denies = any(path.action == "deny" for path in self.paths)
        object.__setattr__(self, "_denies", denies)  # it is asked for at every request

    def covers(self, destination: Destination) -> bool:
        """Whether requests to a destination are this rule's to decide.

        Plain http is allowed only where the person named a port for it: what an agent or a grant
        needs is https, and so is port 443. It is denied wherever https would be.
        """
        if self.action == "deny":
            return self.names(destination) if self.every_port else self.pattern.matches(destination)
        if destination.scheme == "http":
            named = self.source in _NAMED_BY_THE_PERSON and self.pattern.port != 443
            return named and self.pattern.matches(destination)
        return self.pattern.matches(destination)

    def names(self, destination: Destination) -> bool:
        """Whether it is about the host of a destination, at whatever port."""
        return self.pattern.matches(replace(destination, port=self.pattern.port))

    def line_for(self, method: str, parts: Sequence[str]) -> PathRule | None:
        """The first of its lines about paths that speaks of a request, by its path's segments."""
        loose = folded(parts) if self._denies else parts
        for path in self.paths:
            if path.matches(method, parts, loose):
                return path
        return None

    @property
    def origin(self) -> str:
        """Who said so."""
        return _SOURCES[self.source] + (f", @{self.group}" if self.group else "")

    def said(self, path: PathRule) -> str:
        """One of its lines about paths, as a person reads it."""
        return f"{path} at {self.pattern} ({self.origin})"

    def __str__(self) -> str:
        if self.paths:
            return f"{self.pattern}: {', '.join(map(str, self.paths))} ({self.origin})"
        return f"{self.action} {self.pattern} ({self.origin})"


def split_host_rule(text: str) -> tuple[Action, str]:
    """Take `HOST`, `allow HOST` or `deny HOST` apart; HOST is a pattern or @GROUP, and not judged.

    Raises ValueError.
    """
    match _words(text):
        case [host]:
            return "allow", host
        case ["allow", host]:
            return "allow", host
        case ["deny", host]:
            return "deny", host
    raise ValueError(f"{text!r} is not HOST, allow HOST or deny HOST")


def _words(text: str) -> list[str]:
    # No other white space separates words: it would not be seen that it is there.
    return [word for word in re.split("[ \t]+", text) if word]


def host_rule(
    host: str, source: Source, action: Action = "allow", paths: tuple[PathRule, ...] = ()
) -> Rule:
    """The rule about a host as a person writes it. Raises ValueError.

    `moat allow` and `moat deny` make theirs so, with the source "live".
    """
    pattern = HostPattern.parse(host)
    return Rule(pattern, source, action, paths, every_port=action == "deny" and not has_port(host))


def has_port(host: str) -> bool:
    """Whether a port is written, in text that HostPattern takes."""
    return ":" in host.rpartition("]")[2]
