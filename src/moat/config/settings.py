"""The person's own settings: what there is to set, and loading it from $MOAT_HOME/config.yaml.

Every command loads settings and most people have no file, so what reads one (`settings_schema`,
`yaml`) is imported only when there is one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from moat.config.network import NetworkPolicy, NetworkRule
from moat.config.paths import Home
from moat.core.limits import Said
from moat.errors import ConfigError
from moat.files import open_trusted_file

HostPort: TypeAlias = tuple[str, int]
Trust: TypeAlias = Literal["ask", "always"]


class Upstream(NamedTuple):
    """How the proxy reaches the servers it forwards to."""

    ca_file: Path | None = None
    """Roots trusted besides the system's, as PEM."""
    connect_to: tuple[tuple[HostPort, HostPort], ...] = ()
    """Pairs of what is asked for and where to dial instead; `dict()` takes it as it is."""
    idle_timeout: int = 600
    """How many seconds a server may be silent while a client waits for it."""


class Network(NamedTuple):
    """What runs may reach."""

    allow: tuple[str, ...] = ()
    """What every run may reach besides the agent's own hosts: hosts, each as HostPattern writes
    it, and groups. It comes after every other rule."""
    policy: NetworkPolicy | None = None
    """How runs meet what no rule is about, and the most open a project may ask for; None is
    strict, and leaves a project its choice."""
    rules: tuple[NetworkRule, ...] = ()
    """What holds for every run: these come before what options, projects and agents say."""
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Names of groups, without @, and their hosts; `dict()` takes it as it is."""
    ask_timeout: int = 120
    """How many seconds a request waits for an answer before it is refused."""


class TerminalSettings(NamedTuple):
    """How runs and the person's terminal get on."""

    detach_keys: str | None = None
    """The two keys that leave a run, as in "ctrl-/ d", or "none"; None is the default."""
    filter: bool = True
    """Whether what programs print is kept from setting the clipboard and asking the terminal."""


class Settings(NamedTuple):
    """All of config.yaml; what the file leaves out has its default."""

    upstream: Upstream = Upstream()
    network: Network = Network()
    trust: Trust = "ask"
    """Whether a project's moat.yaml that is new or has changed is shown and asked about."""
    limits: Said = ()
    """What a run may use up, where neither options nor the project say it."""
    terminal: TerminalSettings = TerminalSettings()
    guard: tuple[str, ...] = ()
    """Files of workspaces, by their paths below them, that runs may change although programs of
    this machine run or obey them."""


def load_settings(home: Home) -> Settings:
    """Read config.yaml, which need not be there.

    Raises ConfigError when it cannot be read or taken, UnsafeFile when other users can change it.
    """
    path = home.config_file
    try:
        file = open_trusted_file(path)
    except OSError as error:
        # A link that leads nowhere is a mistake, not an absent file.
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return Settings()
        raise _unreadable(path, error) from None
    from moat.config.settings_schema import SETTINGS
    from moat.config.yaml import MAX_BYTES, read_yaml

    with file:
        try:
            data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise _unreadable(path, error) from None
    return SETTINGS.read(read_yaml(data, name=str(path)))


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path}:1:1: cannot be read: {error.strerror}")
