"""What Codex is given: a command, a placeholder for a key, and a place for its sessions."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys

import pytest

from moat.core.hosts import Destination
from moat.core.secret import Secret
from moat.engine.inject import Injection
from moat.engine.messages import Request
from moat.errors import GrantError
from moat.providers import codex
from moat.providers.agent import AgentProvider
from moat.providers.codex import OPENAI_API_KEY_PLACEHOLDER, PROVIDER
from moat.providers.codex.key import check_form
from moat.providers.interface import CredentialProvider
from moat.run.injections import injections_of
from moat.vault.credential import Facts
from providers.wanted import set_up, staged

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
FACTS = Facts("openai", NOW)


def injection(**metadata: str) -> Injection:
    """The one place the key goes to."""
    facts = Facts("openai", NOW, metadata=metadata)
    (only,) = injections_of([PROVIDER], {"openai": facts})
    return only


# the command


@pytest.mark.parametrize("task", ["do it", "--help", "-", "", "resume"])
def test_a_task_is_executed(task: str) -> None:
    """`codex exec`, and the task is one argument whatever it begins with."""
    assert ("codex", "exec", "--skip-git-repo-check", "--", task) == set_up(prompt=task).command


@pytest.mark.parametrize(
    ("opening", "command"),
    [
        (None, ("codex",)),
        ("", ("codex",)),
        ("hello", ("codex", "--", "hello")),
        ("--help", ("codex", "--", "--help")),
        ("resume", ("codex", "--", "resume")),
    ],
)
def test_a_person_is_talked_to(opening: str | None, command: tuple[str, ...]) -> None:
    """`codex`, with the first words behind `--`, so that they are no option or subcommand."""
    assert command == set_up(prompt=None, opening=opening).command


@pytest.mark.parametrize(
    ("wanted", "command"),
    [
        (
            {"prompt": "-x", "resume": "last"},
            ("codex", "exec", "resume", "--skip-git-repo-check", "--last", "--", "-x"),
        ),
        (
            {"prompt": "-x", "resume": "-id"},
            ("codex", "exec", "resume", "--skip-git-repo-check", "--", "-id", "-x"),
        ),
        (
            {"prompt": None, "resume": "last"},
            ("codex", "resume", "--last", "--include-non-interactive"),
        ),
        (
            {"prompt": None, "resume": "last", "opening": "-x"},
            ("codex", "resume", "--last", "--include-non-interactive", "--", "-x"),
        ),
        ({"prompt": None, "resume": "id"}, ("codex", "resume", "--", "id")),
        (
            {"prompt": None, "resume": "id", "opening": "-x"},
            ("codex", "resume", "--", "id", "-x"),
        ),
    ],
)
def test_a_session_is_resumed(wanted: dict[str, str | None], command: tuple[str, ...]) -> None:
    """The last one or one by its id, with a task or with first words."""
    assert command == set_up(**wanted).command


# the box


def test_codex_gets_its_tool_its_host_and_its_files() -> None:
    """One host, one tool, one folder of settings."""
    setup = set_up()
    assert ("codex-cli",) == setup.tools
    assert codex.network_hosts() == tuple(str(host) for host in setup.hosts)
    assert {"codex"} == set(setup.staged)
    assert {"auth.json", "config.toml"} == set(staged())


def test_sessions_are_kept_where_they_are_wanted() -> None:
    """The sessions and nothing else outlives a run, and not even they if they are not wanted."""
    assert {".codex/sessions": "codex/sessions"} == set_up().kept
    assert {} == set_up(keep_sessions=False).kept


def test_fixed_values_do_not_change() -> None:
    """What other programs may know by its value has that value."""
    assert "/moat/codex-init" == codex.CODEX_INIT_MOUNT_PATH
    assert "moat-proxy-injected" == codex.PROXY_INJECTED_PLACEHOLDER
    assert "sk-moat-proxy-injected-placeholder-" + 40 * "0" == OPENAI_API_KEY_PLACEHOLDER
    assert ("git", "codex-cli") == codex.default_dependencies()
    assert ("api.openai.com",) == codex.network_hosts()


def test_the_placeholder_has_the_form_of_a_key() -> None:
    """Programs that look at a key before they use it are content, and it says what it is."""
    assert OPENAI_API_KEY_PLACEHOLDER == check_form(OPENAI_API_KEY_PLACEHOLDER)
    assert {"OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER} == PROVIDER.container_env(FACTS)


def test_auth_json_holds_the_placeholder_and_nothing_else() -> None:
    """Codex takes itself for logged in with an API key."""
    assert {"OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER} == json.loads(staged()["auth.json"])


# the provider


def test_it_is_both_kinds_of_provider() -> None:
    """Whom we log in to, and what is run; by name Codex, by grant OpenAI."""
    assert isinstance(PROVIDER, CredentialProvider)
    assert isinstance(PROVIDER, AgentProvider)
    assert ("codex", "openai") == (PROVIDER.name, PROVIDER.grant_ref)
    assert ["organization", "project"] == [option.name for option in PROVIDER.grant_options]


def test_the_credential_needs_nothing_of_the_host() -> None:
    """No file of the host, no dependency, nothing to give back."""
    assert () == PROVIDER.container_mounts(FACTS, "/home/agent")
    assert () == PROVIDER.implied_dependencies()


# where the key goes


def test_the_key_goes_to_the_api_as_a_bearer_token() -> None:
    """One injection, for https://api.openai.com alone."""
    only = injection()
    assert ("openai", "Authorization", "Bearer {}", ()) == (
        only.grant,
        only.header,
        only.format,
        only.headers,
    )
    assert only.applies_to(Destination.parse("https", "api.openai.com"))
    for scheme, authority in (
        ("http", "api.openai.com:443"),
        ("https", "api.openai.com:8443"),
        ("https", "openai.com"),
        ("https", "x.api.openai.com"),
        ("https", "api.openai.com.evil.example"),
    ):
        assert not only.applies_to(Destination.parse(scheme, authority))  # type: ignore[arg-type]


BROUGHT_ALONG = (
    "Authorization",
    "X-Api-Key",
    "Api-Key",
    "Cookie",
    "Sec-WebSocket-Protocol",
    "OpenAI-Organization",
    "OpenAI-Project",
)


def outgoing(**metadata: str) -> dict[str, str]:
    """The headers that reach the API when the agent brings along all it can."""
    only = injection(**metadata)
    request = Request("GET", Destination.parse("https", "api.openai.com"), "/v1/models", ())
    for name in (*BROUGHT_ALONG, "Accept"):
        request = request.with_header(name, "the agent's")
    sent = only.apply(only.strip(request), Secret("sk-1"))
    return {name.decode().lower(): value.decode() for name, value in sent.headers}


def test_what_the_agent_brings_along_is_dropped() -> None:
    """No login of its own, no account of the person's that it picked; the rest goes through."""
    assert {"authorization": "Bearer sk-1", "accept": "the agent's"} == outgoing()


def test_the_account_goes_with_the_key() -> None:
    """What was said when the key was granted is in every request."""
    sent = outgoing(organization="org-1", project="proj_1", other="x")
    assert ("org-1", "proj_1") == (sent["openai-organization"], sent["openai-project"])
    assert {"authorization", "accept", "openai-organization", "openai-project"} == set(sent)


def test_an_account_that_is_no_header_goes_nowhere() -> None:
    """Metadata is judged like an option: a line end would begin another header."""
    with pytest.raises(GrantError):
        injection(organization="org-1\r\nX-Evil: 1")


# the package


def test_every_public_name_is_there() -> None:
    """Each name can be had from the package, and others cannot."""
    for name in codex.__all__:
        assert getattr(codex, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'acquire'"):
        codex.acquire  # noqa: B018  # type: ignore[attr-defined]


def test_importing_the_package_is_light() -> None:
    """The name alone loads no TLS, no TOML writer, nothing that starts programs."""
    script = (
        "import sys, moat.providers.codex as c; before = set(sys.modules); c.Grant; "
        "print(*before); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    light, full = (set(line.split()) for line in done.stdout.splitlines())
    assert "ssl" in full
    assert set() == light & {"ssl", "tomli_w", "subprocess", "tempfile", "http.client", "json"}
