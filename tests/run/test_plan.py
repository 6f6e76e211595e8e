"""A plan is decided from what was typed, set and found, and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config.network import NetworkRule
from moat.config.project import RemoteServer
from moat.errors import UsageError
from moat.providers.agent import AgentServer
from moat.providers.codex import OPENAI_API_KEY_PLACEHOLDER, PROVIDER
from moat.providers.registry import get_provider
from moat.run.environment import PASSED_ON
from moat.run.injections import injections_of
from moat.run.kept import Kept
from moat.run.plan import Wanted, build_plan
from moat.run.policy import NetworkWanted
from moat.runtimes.interface import Mount
from moat.vault.credential import Facts
from support.plans import AGENT, CODEX, OPENAI, PLAIN

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PROXY = "http://127.0.0.1:3128"
JAVA_OPTIONS = (
    "-Djavax.net.ssl.trustStore=/etc/ssl/certs/java/cacerts -Djavax.net.ssl.trustStoreType=PKCS12 "
    "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=3128 "
    "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128 "
    "-Dhttp.nonProxyHosts=localhost|127.0.0.1|[::1]"
)
ENVIRONMENT = {
    "ALL_PROXY": PROXY,
    "AWS_CA_BUNDLE": CA_BUNDLE,
    "CARGO_HTTP_CAINFO": CA_BUNDLE,
    "CODEX_CA_CERTIFICATE": CA_BUNDLE,
    "CURL_CA_BUNDLE": CA_BUNDLE,
    "DENO_CERT": CA_BUNDLE,
    "GIT_HTTP_PROXY_AUTHMETHOD": "basic",
    "GIT_SSL_CAINFO": CA_BUNDLE,
    "GIT_TERMINAL_PROMPT": "0",
    "HEX_CACERTS_PATH": CA_BUNDLE,
    "HOME": "/home/agent",
    "HTTPS_PROXY": PROXY,
    "HTTP_PROXY": PROXY,
    "JAVA_TOOL_OPTIONS": JAVA_OPTIONS,
    "LANG": "C.UTF-8",
    "LOGNAME": "agent",
    "MOAT": "1",
    "NODE_EXTRA_CA_CERTS": CA_BUNDLE,
    "NODE_USE_ENV_PROXY": "1",
    "NO_PROXY": "localhost,127.0.0.1,::1",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PIP_CERT": CA_BUNDLE,
    "REQUESTS_CA_BUNDLE": CA_BUNDLE,
    "SHELL": "/bin/sh",
    "SSL_CERT_FILE": CA_BUNDLE,
    "TERM": "dumb",
    "USER": "agent",
    "all_proxy": PROXY,
    "http_proxy": PROXY,
    "https_proxy": PROXY,
    "no_proxy": "localhost,127.0.0.1,::1",
}


def plan(wanted: Wanted, **changes: Any) -> Any:
    return build_plan("0123456789", wanted._replace(**changes))


def rules(wanted: Wanted, **changes: Any) -> list[str]:
    return [str(rule) for rule in plan(wanted, **changes).policy.rules]


def test_a_plain_command_gets_a_box_and_nothing_else() -> None:
    """Without options there is no network, no credential, no tool, no file."""
    made = plan(PLAIN)
    assert (("npm", "test"), Path("/src/project"), "0123456789") == (
        made.command,
        made.workspace,
        made.run,
    )
    assert ((), (), (), {}, {}) == (
        made.grants,
        made.injections,
        made.mounts,
        made.staged,
        made.versions,
    )
    assert [] == rules(PLAIN)
    assert ENVIRONMENT == made.environment


def test_codex_gets_what_it_needs_and_nothing_else() -> None:
    """One host, one credential, its tool on PATH, its files; a placeholder where a key would be."""
    made = plan(AGENT)
    assert ("codex", "exec", "--skip-git-repo-check", "--", "do it") == made.command
    assert ("openai",) == made.grants
    assert injections_of([PROVIDER], {"openai": OPENAI}) == made.injections
    assert (Mount(CODEX.directory, "/opt/moat/codex-cli"),) == made.mounts
    assert {"codex": ["auth.json", "config.toml"]} == {
        name: [file.name for file in files] for name, files in made.staged.items()
    }
    assert {"codex-cli": "0.169.0"} == made.versions
    path = "/opt/moat/codex-cli/bin:/opt/moat/codex-cli/rg:" + ENVIRONMENT["PATH"]
    placeholder = {"OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER}
    assert ENVIRONMENT | placeholder | {"PATH": path} == made.environment
    assert [
        "allow api.openai.com (the agent needs it)",
        "allow api.openai.com (a grant is bound to it)",
    ] == rules(AGENT)


def test_rules_say_who_wanted_them() -> None:
    """Option, agent, grant, project, settings: in the order in which they count."""
    assert [
        "allow github.com (--allow-host)",
        "allow *.packages.example (moat.yaml)",
        "allow api.openai.com (a grant is bound to it)",
        "allow localhost:3000 (moat.yaml)",
        "allow 127.0.0.1:80 (config.yaml)",
    ] == rules(
        PLAIN,
        providers=(PROVIDER,),
        facts={"openai": OPENAI},
        network=NetworkWanted(
            allow_options=("GitHub.com",),
            settings_allow=("127.0.0.1:80",),
            project_rules=(NetworkRule("*.packages.example"),),
        ),
        servers=(AgentServer(RemoteServer("here", "http://localhost:3000/mcp")),),
    )


@pytest.mark.parametrize(
    "text",
    ["", "https://github.com", "a b", "*", "*.org", "127.1", "x:0", "x:70000", "a..b", "é é"],
)
def test_a_host_that_is_none_is_told(text: str) -> None:
    """The option is named, and how it is written."""
    with pytest.raises(UsageError, match=r"^--allow-host: ") as caught:
        plan(PLAIN, network=NetworkWanted(allow_options=(text,)))
    assert "--allow-host github.com" in str(caught.value.hint)


def test_only_what_is_about_the_terminal_is_passed_on() -> None:
    """Of the person's environment the box sees language, colours and terminal."""
    about = {name: f"my {name}" for name in PASSED_ON}
    private = {
        "OPENAI_API_KEY": "sk-real",
        "AWS_SECRET_ACCESS_KEY": "real",
        "SSH_AUTH_SOCK": "/tmp/agent",
        "LD_PRELOAD": "/tmp/evil.so",
        "BASH_ENV": "/tmp/evil",
        "HOME": "/home/me",
        "USER": "me",
        "MOAT_HOME": "/home/me/.moat",
        "TERM_PROGRAM": "x",
        "LANGUAGE": "x",
    }
    assert ENVIRONMENT | about == plan(PLAIN, environ=about | private).environment


@given(st.dictionaries(st.sampled_from([*ENVIRONMENT, *PASSED_ON]), st.text(max_size=9)))
def test_nothing_of_the_person_changes_the_way_out(environ: dict[str, str]) -> None:
    """Proxy, CA, PATH and HOME are the box's, whatever the person has them set to."""
    made = plan(PLAIN, environ=environ).environment
    assert ENVIRONMENT.keys() <= made.keys() <= {*ENVIRONMENT, *PASSED_ON}
    for name in ENVIRONMENT.keys() - set(PASSED_ON):
        assert ENVIRONMENT[name] == made[name]


def test_a_provider_cannot_change_the_way_out_either() -> None:
    """Placeholders come first; what leads to the proxy has the last word."""

    class Odd(type(PROVIDER)):  # type: ignore[misc]
        def container_env(self, facts: Any) -> dict[str, str]:
            return {"HTTPS_PROXY": "http://evil", "SSL_CERT_FILE": "/evil", "A_KEY": "placeholder"}

    made = plan(PLAIN, providers=(Odd(),), facts={"openai": OPENAI}).environment
    assert ENVIRONMENT | {"A_KEY": "placeholder"} == made


def test_a_plan_changes_nothing_it_was_given() -> None:
    """Planning twice gives the same, and the environment asked for is left alone."""
    environ = {"TERM": "xterm"}
    assert plan(AGENT, environ=environ) == plan(AGENT, environ=environ)
    assert {"TERM": "xterm"} == environ


def test_deny_is_the_default() -> None:
    """Only who says so is let out without a rule."""
    assert plan(PLAIN).policy.mode == "strict"
    open_to_all = NetworkWanted(project_policy="permissive")
    assert plan(PLAIN, network=open_to_all).policy.mode == "permissive"


def test_the_rest_is_passed_through() -> None:
    """Name, mounts, what is kept and what is protected."""
    mounts, kept = (Mount(Path("/d"), "/data"),), (Kept(Path("/k"), ".codex/sessions"),)
    made = plan(AGENT, name="mine", mounts=mounts, kept=kept, protected=("moat.yaml",))
    assert (Mount(CODEX.directory, "/opt/moat/codex-cli"), *mounts) == made.mounts
    assert ("mine", kept, ("moat.yaml",)) == (made.name, made.kept, made.protected)


MINE = Facts(
    "header:mine",
    OPENAI.created_at,
    metadata={"to": "https://api.example.com/v1/** X-Key: {}\nhttps://b.example X-Key: {}"},
)


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        (
            "strict",
            [
                "allow b.example (a grant is bound to it)",
                "allow c.example (config.yaml)",
                "api.example.com: allow * /v1/** (a grant is bound to it)",
            ],
        ),
        ("ask", ["allow b.example (a grant is bound to it)", "allow c.example (config.yaml)"]),
        (
            "permissive",
            ["allow b.example (a grant is bound to it)", "allow c.example (config.yaml)"],
        ),
    ],
)
def test_a_grant_for_some_paths_opens_no_others(mode: Any, wanted: list[str]) -> None:
    """Its host is not open for it; nor is what is asked about or let through denied for it."""
    network = NetworkWanted(policy=mode, settings_allow=("c.example",))
    mine = (get_provider("header:mine"),)
    assert wanted == rules(PLAIN, providers=mine, facts={"header:mine": MINE}, network=network)


def test_a_plan_knows_what_the_box_holds() -> None:
    """The placeholders of its grants, each under its grant."""
    assert () == plan(PLAIN).placeholders
    held = {(item.grant, item.text) for item in plan(AGENT).placeholders}
    assert ("openai", OPENAI_API_KEY_PLACEHOLDER) in held
    assert {"openai"} == {grant for grant, _ in held}
