"""The environment of a box, made from nothing: what is not named here is not there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from moat.engine.policy import Policy
from moat.errors import UsageError
from moat.pki.pack import JAVA_OPTIONS, TRUST_VARIABLES, trust_environment
from moat.runtimes.interface import CA_BUNDLE, HOME, JAVA_STORE, PROXY_HOST, PROXY_PORT, USER

# What of the person's environment is about the terminal and not about the person.
PASSED_ON = ("COLORTERM", "FORCE_COLOR", "LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR", "TERM", "TZ")

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Who and where one is in the box, and that nobody is there to be asked: Moat's to set.
_OURS = ("GIT_TERMINAL_PROMPT", "HOME", "LOGNAME", "MOAT", "PATH", "SHELL", "USER")
# The shell's own, which sets up the box: some of them it does not let anybody set.
_SHELL = ("BASHOPTS", "BASH_VERSINFO", "EUID", "IFS", "OPTIND", "PPID", "SHELLOPTS", "UID")
# What leads to the proxy is Moat's too. Java's options are a list, to which it adds its own.
RESERVED = frozenset((*TRUST_VARIABLES, *_OURS, *_SHELL)) - {JAVA_OPTIONS}


def box_environment(
    environ: Mapping[str, str],
    *,
    placeholders: Iterable[Mapping[str, str]],
    project: Mapping[str, str],
    options: Mapping[str, str],
    path: Iterable[str],
    policy: Policy,
    registries: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """All of the box's environment. Raises UsageError for a variable that cannot be set."""
    environment = {"TERM": "dumb", "LANG": "C.UTF-8"}
    environment |= {name: environ[name] for name in PASSED_ON if name in environ}
    environment |= registries
    held: dict[str, str] = {}
    for variables in placeholders:
        held |= variables
    for given in (project, options):
        for name in given:
            check_variable(name, held)
        environment |= given
    environment |= held
    told = trust_environment(
        CA_BUNDLE,
        JAVA_STORE,
        host=PROXY_HOST,
        port=PROXY_PORT,
        not_proxied=_not_proxied(policy),
    )
    if JAVA_OPTIONS in environment:
        told[JAVA_OPTIONS] = f"{environment[JAVA_OPTIONS]} {told[JAVA_OPTIONS]}"
    # Last, so that nothing of the above leads around the proxy; of Java's options too the last
    # count.
    return environment | {
        "HOME": HOME,
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/sh",
        "PATH": ":".join(path),
        "MOAT": "1",
        "GIT_TERMINAL_PROMPT": "0",
        **told,
    }


def client_environment(
    placeholders: Mapping[str, str],
    *,
    bundle: str,
    java_store: str,
    host: str,
    port: int,
    token: str | None,
    policy: Policy,
) -> dict[str, str]:
    """What a process is told that uses a proxy of the host, and is in no box.

    `placeholders` are those of the grants, by variable; the rest is as of `trust_environment`.
    """
    told = trust_environment(
        bundle, java_store, host=host, port=port, not_proxied=_not_proxied(policy), token=token
    )
    return {**placeholders, **told}


def check_variable(name: str, placeholders: Mapping[str, str]) -> None:
    """Refuse a variable that is not the person's or the project's to set. Raises UsageError."""
    if name in placeholders:
        raise UsageError(
            f"the variable {name} holds the placeholder of a grant in the box",
            hint="leave it out: the credential is put in on the wire",
        )
    if name in RESERVED:
        raise UsageError(f"the variable {name} is set by Moat in the box", hint="leave it out")


def _not_proxied(policy: Policy) -> Iterable[str]:
    """The loopback of the client, which in a box reaches nothing but the box; less the names under
    which the person has allowed a service of the host."""
    allowed = {rule.pattern.host for rule in policy.rules if rule.action == "allow"}
    return (host for host in ("localhost", "127.0.0.1", "::1") if host not in allowed)
