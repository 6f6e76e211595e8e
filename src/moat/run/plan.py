"""What a run will be, as a value. Pure: it is printed, compared and read in review.

`build_plan` takes what was typed, set and found, and decides; nothing is opened or made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from moat.config.settings import Upstream
from moat.core.hosts import HostPattern
from moat.engine.inject import Injection
from moat.engine.policy import Policy, Rule
from moat.errors import UsageError
from moat.providers.interface import AgentSetup, CredentialProvider, StagedFile
from moat.runtimes.interface import CA_BUNDLE, HOME, PROXY_HOST, PROXY_PORT, USER, Mount

# What of the person's environment is about the terminal and not about the person.
PASSED_ON = ("COLORTERM", "FORCE_COLOR", "LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR", "TERM", "TZ")

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Every common tool's way of being told whom to trust.
_CA_VARIABLES = (
    "CARGO_HTTP_CAINFO",
    "CODEX_CA_CERTIFICATE",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)


@dataclass(frozen=True, slots=True)
class InstalledTool:
    """A tool of this machine: where it is, where the box sees it, what of it is on PATH."""

    name: str
    version: str
    directory: Path
    path: tuple[str, ...]

    @property
    def target(self) -> str:
        """Its directory in the box."""
        return f"/opt/moat/{self.name}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for: by options, by the person's settings, by what is attached.

    `agent` is the setup of the agent to be run, None for a plain command. `terminal` is the
    size of the terminal to run on, None for pipes. `command_line` is how the person would start
    this again, without its arguments.
    """

    workspace: Path
    command: tuple[str, ...]
    providers: tuple[CredentialProvider, ...]
    agent: AgentSetup | None
    agent_name: str | None
    tools: tuple[InstalledTool, ...]
    allow_options: tuple[str, ...]
    allow_settings: tuple[str, ...]
    upstream: Upstream
    environ: Mapping[str, str]
    terminal: tuple[int, int] | None
    command_line: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, decided."""

    run: str
    command_line: str
    agent: str | None
    workspace: Path
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    staged: Mapping[str, tuple[StagedFile, ...]]
    grants: tuple[str, ...]
    policy: Policy
    injections: tuple[Injection, ...]
    upstream: Upstream
    versions: Mapping[str, str]
    terminal: tuple[int, int] | None


def build_plan(run: str, wanted: Wanted) -> Plan:
    """Decide what a run will be. Raises UsageError for an option that makes no sense."""
    staged = wanted.agent.staged if wanted.agent else {}
    injections = tuple(item for provider in wanted.providers for item in provider.injections())
    policy = Policy(tuple(_rules(wanted, injections)))
    return Plan(
        run=run,
        command_line=wanted.command_line,
        agent=wanted.agent_name,
        workspace=wanted.workspace,
        command=wanted.agent.command if wanted.agent else wanted.command,
        environment=_environment(wanted, policy),
        mounts=tuple(Mount(tool.directory, tool.target) for tool in wanted.tools),
        staged=staged,
        grants=tuple(provider.grant_ref for provider in wanted.providers),
        policy=policy,
        injections=injections,
        upstream=wanted.upstream,
        versions={tool.name: tool.version for tool in wanted.tools},
        terminal=wanted.terminal,
    )


def _rules(wanted: Wanted, injections: Iterable[Injection]) -> Iterable[Rule]:
    if wanted.agent:
        for pattern in wanted.agent.hosts:
            yield Rule(pattern, "agent")
    for injection in injections:
        yield Rule(injection.pattern, "grant")
    for text in wanted.allow_options:
        yield Rule(_pattern(text), "option")
    for text in wanted.allow_settings:
        yield Rule(HostPattern.parse(text), "settings")


def _pattern(text: str) -> HostPattern:
    try:
        return HostPattern.parse(text)
    except ValueError as error:
        raise UsageError(
            f"--allow-host: {error}",
            hint="write HOST, HOST:PORT or *.DOMAIN, such as --allow-host github.com",
        ) from None


def _not_proxied(policy: Policy) -> Iterable[str]:
    """The box's own loopback, which reaches nothing but the box; less the names under which the
    person has allowed a service of the host."""
    allowed = {rule.pattern.host for rule in policy.rules}
    return (host for host in ("localhost", "127.0.0.1", "::1") if host not in allowed)


def _environment(wanted: Wanted, policy: Policy) -> dict[str, str]:
    """The box's environment, from nothing: what is not named here is not there."""
    proxy = f"http://{PROXY_HOST}:{PROXY_PORT}"
    path = [f"{tool.target}/{folder}" for tool in wanted.tools for folder in tool.path]
    environment = {name: wanted.environ[name] for name in PASSED_ON if name in wanted.environ}
    environment = {"TERM": "dumb", "LANG": "C.UTF-8"} | environment
    for provider in wanted.providers:
        environment |= provider.box_environment()
    # Last, so that nothing of the above leads around the proxy.
    environment |= {
        "HOME": HOME,
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/sh",
        "PATH": ":".join([*path, _SYSTEM_PATH]),
        "MOAT": "1",
        "NO_PROXY": ",".join(_not_proxied(policy)),
        # git's smart HTTP sends no proxy credentials unasked, and must never prompt.
        "GIT_TERMINAL_PROMPT": "0",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), proxy),
        **dict.fromkeys(_CA_VARIABLES, CA_BUNDLE),
    }
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        environment[name.lower()] = environment[name]
    return environment
