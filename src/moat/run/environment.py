"""The environment of a box, made from nothing: what is not named here is not there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from moat.engine.policy import Policy
from moat.errors import UsageError
from moat.runtimes.interface import CA_BUNDLE, HOME, PROXY_HOST, PROXY_PORT, USER

# What of the person's environment is about the terminal and not about the person.
PASSED_ON = ("COLORTERM", "FORCE_COLOR", "LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR", "TERM", "TZ")

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Every common tool's way of being told whom to trust.
CA_VARIABLES = (
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
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
PROXY_VARIABLES = (*_PROXY_VARIABLES, *(name.lower() for name in _PROXY_VARIABLES))
# What leads to the proxy, or says who and where one is in the box: Moat's to set.
_OURS = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "MOAT")
# The shell's own, which sets up the box: some of them it does not let anybody set.
_SHELL = ("BASHOPTS", "BASH_VERSINFO", "EUID", "IFS", "OPTIND", "PPID", "SHELLOPTS", "UID")
RESERVED = frozenset((*PROXY_VARIABLES, *CA_VARIABLES, *_OURS, *_SHELL))


def box_environment(
    environ: Mapping[str, str],
    *,
    placeholders: Iterable[Mapping[str, str]],
    project: Mapping[str, str],
    options: Mapping[str, str],
    path: Iterable[str],
    policy: Policy,
) -> dict[str, str]:
    """All of the box's environment. Raises UsageError for a variable that cannot be set."""
    environment = {"TERM": "dumb", "LANG": "C.UTF-8"}
    environment |= {name: environ[name] for name in PASSED_ON if name in environ}
    held: dict[str, str] = {}
    for variables in placeholders:
        held |= variables
    for given in (project, options):
        for name in given:
            check_variable(name, held)
        environment |= given
    environment |= held
    # Last, so that nothing of the above leads around the proxy.
    proxy = f"http://{PROXY_HOST}:{PROXY_PORT}"
    environment |= {
        "HOME": HOME,
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/sh",
        "PATH": ":".join(path),
        "MOAT": "1",
        "NO_PROXY": ",".join(_not_proxied(policy)),
        # git's smart HTTP sends no proxy credentials unasked, and must never prompt.
        "GIT_TERMINAL_PROMPT": "0",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), proxy),
        **dict.fromkeys(CA_VARIABLES, CA_BUNDLE),
    }
    for name in _PROXY_VARIABLES:
        environment[name.lower()] = environment[name]
    return environment


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
    """The box's own loopback, which reaches nothing but the box; less the names under which the
    person has allowed a service of the host."""
    allowed = {rule.pattern.host for rule in policy.rules}
    return (host for host in ("localhost", "127.0.0.1", "::1") if host not in allowed)
