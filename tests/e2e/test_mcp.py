"""MCP servers of a project, called by the real Codex CLI through Moat."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from standin import Call, Say, Shell
from support.cli import REAL_KEY, Cli
from support.mcp_http import RunningMcpServer
from support.standin import RunningStandIn
from support.users import link_tree

pytestmark = pytest.mark.e2e

TOKEN = "lin_real_5d1f0c7b9a3e48d2b6c4"
HOST = "mcp.lookup.test"
SERVER = Path(__file__).parent.parent / "support" / "mcp_stdio.py"
SCRIPT = (
    Call("echo", "echo", json.dumps({"text": "from the model"})),
    Call("lookup", "lookup", json.dumps({"word": "moat"})),
    Shell("cat ~/.codex/config.toml; env; cat seen.json"),
    Say("Both answered."),
)
PROJECT = f"""\
grants: [openai, "mcp:lookup"]
mcp:
  - name: lookup
    url: https://{HOST}/mcp
    auth: {{grant: "mcp:lookup"}}
codex:
  mcp:
    echo:
      command: /usr/bin/python3
      args: [server.py, one]
      env: {{GREETING: hello}}
      grant: openai
  write_mcp_json: true
"""


@pytest.fixture
def lookup(tmp_path: Path) -> Iterator[RunningMcpServer]:
    with RunningMcpServer(
        tmp_path / "mcp", host=HOST, header="Authorization", value=f"Bearer {TOKEN}"
    ) as running:
        yield running


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningStandIn]:
    with RunningStandIn(tmp_path / "api", key=REAL_KEY, script=SCRIPT) as running:
        yield running


@pytest.fixture
def project(
    cli: Cli, tool_home: Path, api: RunningStandIn, lookup: RunningMcpServer, tmp_path: Path
) -> Cli:
    """A project with two servers, both names known, and the key of OpenAI granted."""
    link_tree(tool_home / "tools", cli.home / "tools", ignore=shutil.ignore_patterns(".work"))
    roots = tmp_path / "roots.pem"
    roots.write_bytes(api.ca_file.read_bytes() + lookup.ca_file.read_bytes())
    (cli.home / "config.yaml").write_text(
        f"upstream:\n  ca_file: {roots}\n  connect_to:\n"
        f'    "api.openai.com:443": "127.0.0.1:{api.port}"\n'
        f'    "{HOST}:443": "127.0.0.1:{lookup.port}"\n'
    )
    cli.grant()
    shutil.copy(SERVER, cli.workspace / "server.py")
    (cli.workspace / "moat.yaml").write_text(PROJECT)
    return cli


def grant_lookup(cli: Cli, token: str = TOKEN) -> None:
    done = cli.run(
        "grant", "mcp:lookup", "--url", f"https://{HOST}/mcp", env={"MCP_LOOKUP_TOKEN": token}
    )
    assert 0 == done.returncode, done.stderr


def test_both_kinds_of_servers_answer(
    project: Cli, api: RunningStandIn, lookup: RunningMcpServer
) -> None:
    """The one in the box finds proxy and placeholder; the remote one gets the real token, which
    is nowhere in the box."""
    grant_lookup(project)
    done = project.run("codex", "--trust", "-p", "ask both")

    assert (0, "Both answered.\n") == (done.returncode, done.stdout), done.stderr
    echoed, found, inside = api.server.tool_outputs
    assert "echo: from the model" in echoed
    assert "found it" in found
    assert [{"word": "moat"}] == [call["arguments"] for call in lookup.called]
    assert {f"Bearer {TOKEN}"} == {value for _, value in lookup.seen}
    for secret in (TOKEN, REAL_KEY):
        assert secret not in inside
        for file in project.workspace.rglob("*"):
            assert not file.is_file() or secret not in file.read_text(errors="replace")
    seen = json.loads((project.workspace / "seen.json").read_text())
    assert ["one"] == seen["arguments"]
    environment = seen["environment"]
    assert "hello" == environment["GREETING"]
    assert environment["OPENAI_API_KEY"].startswith("sk-moat-proxy-injected-placeholder-")
    assert "http://127.0.0.1:3128" == environment["HTTPS_PROXY"]
    assert "SSL_CERT_FILE" in environment
    asked = [item for item in project.json("trace") if HOST in item["url"]]
    # At its end Codex may open a tunnel that it has no use for any more.
    grants = {tuple(item["grants"]) for item in asked if item["method"] != "CONNECT"}
    assert {("mcp:lookup",)} == grants
    written = json.loads((project.workspace / ".mcp.json").read_text())
    assert "/usr/bin/python3" == written["mcpServers"]["echo"]["command"]


def test_a_server_whose_grant_is_missing_is_named(project: Cli, lookup: RunningMcpServer) -> None:
    """Before anything starts."""
    done = project.run("codex", "--trust", "-p", "ask both")
    assert 1 == done.returncode
    assert "there is no grant for mcp:lookup" in done.stderr
    assert ([], []) == (project.runs(), lookup.seen)


def test_a_server_needs_its_grant_in_the_project(project: Cli, lookup: RunningMcpServer) -> None:
    """A grant that is stored is not used because a server would like it."""
    grant_lookup(project)
    file = project.workspace / "moat.yaml"
    file.write_text(PROJECT.replace('grants: [openai, "mcp:lookup"]\n', ""))
    done = project.run("codex", "--trust", "-p", "ask both")
    assert 2 == done.returncode
    assert 'MCP server "lookup" requires grant "mcp:lookup"' in done.stderr
    assert ([], []) == (project.runs(), lookup.seen)


def test_a_project_cannot_have_a_key_sent_elsewhere(project: Cli, lookup: RunningMcpServer) -> None:
    """Not even in a file that the person agreed to: where a credential goes is settled by then."""
    file = project.workspace / "moat.yaml"
    file.write_text(PROJECT.replace('auth: {grant: "mcp:lookup"}', "auth: {grant: openai}"))
    grant_lookup(project)
    done = project.run("codex", "--trust", "-p", "ask both")
    assert 2 == done.returncode
    assert f"goes to https://api.openai.com, and not to https://{HOST}" in done.stderr
    assert ([], []) == (project.runs(), lookup.seen)


def test_a_token_that_is_wrong_is_named(project: Cli, api: RunningStandIn) -> None:
    """Though the run goes on without the server, and does not fail."""
    grant_lookup(project, "lin_not_the_right_one")
    done = project.run("codex", "--trust", "-p", "ask both")
    assert 0 == done.returncode
    assert "credential of grant mcp:lookup was rejected (401)" in done.stderr
    assert f"moat grant mcp:lookup --url https://{HOST}" in done.stderr
    statuses = {item["status"] for item in project.json("trace") if HOST in item["url"]}
    assert {401} == statuses
