"""Groups of hosts that rules can name, such as @npm: what each is, and whose word that is.

A group of a package manager is the registries which this machine's own client is set up for, and
is looked up when it is named: a company's mirror counts, wherever it is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from moat.core.hosts import HostPattern
from moat.errors import ToolError, UsageError
from moat.run.clients import Answer, Clients, ask_apt, ask_cargo, ask_go, ask_npm, ask_pip

# Where packages of GitHub's are kept is not among them: those are registries.
_FIXED = {
    "github": (
        "github.com",
        "api.github.com",
        "codeload.github.com",
        "gist.github.com",
        "uploads.github.com",
        "*.githubusercontent.com",
    ),
}
_ASKED = {
    "npm": ("npm", ask_npm),
    "pypi": ("pip", ask_pip),
    "debian": ("apt", ask_apt),
    "crates": ("cargo", ask_cargo),
    "go": ("go", ask_go),
}
KNOWN = (*_ASKED, *_FIXED)


@dataclass(frozen=True, slots=True)
class Group:
    """The hosts of a group, and who named them.

    `variables` tell the same client in a box of the same registries; no login is in them.
    """

    name: str
    hosts: tuple[HostPattern, ...]
    origin: str
    variables: Mapping[str, str] = field(default_factory=dict)


class Groups:
    """The groups there are on this machine; clients are asked at most once each.

    `own` are those of the person's settings, which come first; `changeable` are directories that
    runs can write to, of which no program is started.
    """

    def __init__(
        self,
        own: Mapping[str, Iterable[str]],
        *,
        environ: Mapping[str, str],
        changeable: Iterable[Path],
    ) -> None:
        self._own = {name: tuple(hosts) for name, hosts in own.items()}
        self._clients = Clients(environ, changeable)
        self._found: dict[str, Group] = {}

    @property
    def names(self) -> list[str]:
        """Every name there is."""
        return sorted({*self._own, *KNOWN})

    def find(self, name: str) -> Group:
        """The group of a name, without its @.

        Raises UsageError if there is none, ToolError if its client does not say.
        """
        if name not in self._found:
            self._found[name] = self._look_up(name)
        return self._found[name]

    def _look_up(self, name: str) -> Group:
        if name in self._own:
            return Group(name, tuple(map(HostPattern.parse, self._own[name])), "config.yaml")
        if name in _FIXED:
            return Group(name, tuple(map(HostPattern.parse, _FIXED[name])), "Moat")
        if name not in _ASKED:
            raise UsageError(
                f"there is no group @{name}",
                hint=f"there are @{', @'.join(self.names)}; more under network.groups in "
                "config.yaml",
            )
        client, ask = _ASKED[name]
        try:
            answer = ask(self._clients)
        except ToolError as error:
            raise _unknown(name, client, error.message) from None
        hosts = _hosts(answer)
        if not hosts:
            raise _unknown(name, client, "that is no host")
        return Group(name, hosts, client, answer.variables)


def _unknown(name: str, client: str, why: str) -> ToolError:
    return ToolError(
        f"the group @{name} is what {client} is set up for on this machine, and {why}",
        hint=f"name its hosts in config.yaml: network: {{groups: {{{name}: [HOST, …]}}}}",
    )


def _hosts(answer: Answer) -> tuple[HostPattern, ...]:
    """The places of some addresses, each once; what is no http or https address has none."""
    return tuple(dict.fromkeys(place for url in answer.urls if (place := _place(url))))


def _place(url: str) -> HostPattern | None:
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower().rpartition("+")[2]
    authority = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    if scheme not in ("http", "https") or not authority:
        return None
    try:
        pattern = HostPattern.parse(authority)
        port = pattern.port if ":" in authority.rpartition("]")[2] or scheme == "https" else 80
    except ValueError:
        return None
    return HostPattern(pattern.host, port)
