"""Policy and groups of hosts, as a person says them and an agent meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moat.config.paths import Home
from moat.config.settings import Settings
from moat.planning.asked import Asked
from moat.planning.context import Context
from moat.planning.network import wanted_network
from support.cli import Cli
from support.pty import Terminal

GITHUB = """\
network:
  rules:
    - host: api.github.com
      rules: ["deny * /admin/**", "allow GET /repos/**"]
    - deny evil.example
"""


@pytest.fixture
def with_npm(cli: Cli, tmp_path: Path) -> Cli:
    """A machine with an npm of this test's own, which is set up for a mirror."""
    program(tmp_path / "programs", tmp_path / "asked", "https://u:p@mirror.example:8081/npm/")
    cli.environment["PATH"] = f"{tmp_path}/programs:/usr/bin:/bin"
    return cli


def program(folder: Path, asked: Path, registry: str) -> None:
    folder.mkdir(parents=True)
    npm = folder / "npm"
    npm.write_text(f'#!/bin/sh\npwd >> {asked}\necho \'{{"registry": "{registry}"}}\'\n')
    npm.chmod(0o755)


def configure(cli: Cli, text: str) -> None:
    (cli.home / "config.yaml").write_text(text)


def policy(cli: Cli, *options: str) -> Any:
    """The policy of a run that is only planned."""
    done = cli.run("run", "--dry-run", "--json", *options, "--", "true")
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)["policy"]


def test_a_group_is_what_the_client_is_set_up_for(with_npm: Cli, tmp_path: Path) -> None:
    """Asked once, in no project; no login is shown."""
    planned = policy(with_npm, "--allow-host", "@npm", "--allow-host", "a.example")
    assert [
        "allow mirror.example:8081 (--allow-host, @npm)",
        "allow a.example (--allow-host)",
    ] == planned["rules"]
    assert "/\n" == (tmp_path / "asked").read_text()
    (npm,) = with_npm.json("policy", "groups", "@npm")
    assert {"group": "npm", "hosts": ["mirror.example:8081"], "from": "npm", "error": None} == npm


def test_the_same_client_in_a_box_can_be_told(
    with_npm: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By variables, in which no login is."""
    monkeypatch.setenv("PATH", with_npm.environment["PATH"])
    context = Context(Home(with_npm.home), Settings())
    for allow, told in (
        (("@npm",), {"NPM_CONFIG_REGISTRY": "https://mirror.example:8081/npm/"}),
        (("@github", "a.example"), {}),
    ):
        asked = Asked("moat run", allow=allow)
        assert told == wanted_network(context, asked, None, with_npm.workspace).registries


def test_no_client_is_asked_where_no_group_is_named(with_npm: Cli, tmp_path: Path) -> None:
    """Runs start as fast as ever."""
    assert [] == policy(with_npm)["rules"]
    assert not (tmp_path / "asked").exists()


@pytest.mark.attack
def test_a_client_in_the_workspace_is_not_started(with_npm: Cli, tmp_path: Path) -> None:
    """Though it stands first on PATH, as it does in many a project; nor one of another run's."""
    other = tmp_path / "other"
    for place in (with_npm.workspace, other):
        program(place / "bin", tmp_path / "ran", "https://planted.example/")
    assert 0 == with_npm.run("run", "-w", str(other), "--", "true").returncode
    path = with_npm.environment["PATH"]
    with_npm.environment["PATH"] = f"{with_npm.workspace}/bin:{other}/bin:{path}"
    planned = policy(with_npm, "--allow-host", "@npm")
    assert ["allow mirror.example:8081 (--allow-host, @npm)"] == planned["rules"]
    assert ["mirror.example:8081"] == with_npm.json("policy", "groups", "npm")[0]["hosts"]
    assert not (tmp_path / "ran").exists()


def test_groups_are_shown(with_npm: Cli) -> None:
    """Those of the person, of Moat, of package managers; what one does not say is told."""
    configure(with_npm, "network: {groups: {go: [go.example], corp: ['*.corp.example:8443']}}\n")
    done = with_npm.run("policy", "groups", "go", "corp", "npm", "github")
    assert 0 == done.returncode
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["GROUP", "FROM", "HOSTS"] == lines[0]
    assert ["@go", "config.yaml", "go.example"] == lines[1]
    assert ["@corp", "config.yaml", "*.corp.example:8443"] == lines[2]
    assert ["@npm", "npm", "mirror.example:8081"] == lines[3]
    assert "api.github.com" in lines[4]

    (Path(with_npm.environment["PATH"].partition(":")[0]) / "npm").write_text("#!/bin/sh\nexit 1\n")
    every = {group["group"]: group for group in with_npm.json("policy", "groups")}
    assert every["npm"]["error"].endswith("npm did not say: it exited with code 1")
    assert {"go", "corp", "npm", "github", "pypi", "debian", "crates"} == every.keys()


def test_a_group_that_cannot_be_looked_up_is_told(with_npm: Cli) -> None:
    """Before anything is made, with the place of a project's word."""
    (Path(with_npm.environment["PATH"].partition(":")[0]) / "npm").write_text("#!/bin/sh\nexit 1\n")
    done = with_npm.run("run", "--allow-host", "@npm", "--", "true")
    assert (1, "") == (done.returncode, done.stdout)
    assert "moat: the group @npm is what npm is set up for on this machine, and" in done.stderr
    assert "hint: name its hosts in config.yaml: network: {groups: {npm: [" in done.stderr
    for name in ("@nix", "@"):
        done = with_npm.run("run", "--allow-host", name, "--", "true")
        assert 2 == done.returncode
        assert f"moat: there is no group {name}" in done.stderr
    (with_npm.workspace / "moat.yaml").write_text('network:\n  rules:\n    - a.b\n    - "@nix"\n')
    done = with_npm.run("run", "--trust", "--", "true")
    assert 2 == done.returncode
    assert "moat.yaml:4:7: there is no group @nix" in done.stderr
    assert [] == with_npm.runs()


def test_nobody_is_asked_for_a_project_that_is_not_agreed_to(with_npm: Cli, tmp_path: Path) -> None:
    """What it would open is shown by name; agreed to, it is looked up."""
    (with_npm.workspace / "moat.yaml").write_text('network: {rules: ["@npm", a.example]}\n')
    done = with_npm.run("run", "--dry-run", "--", "true")
    assert "the groups of hosts in moat.yaml are looked up once it is agreed to" in done.stderr
    asked = with_npm.run("run", "--", "true")
    assert "reaches @npm (the hosts of that group on this machine)" in asked.stderr
    assert not (tmp_path / "asked").exists()
    assert [
        "allow mirror.example:8081 (moat.yaml, @npm)",
        "allow a.example (moat.yaml)",
    ] == policy(with_npm, "--trust")["rules"]


def test_the_policy_is_the_persons_to_set(cli: Cli) -> None:
    """Typed, in the settings, in the project; held back is said."""
    assert ("strict", "deny") == (policy(cli)["mode"], policy(cli)["default"])
    assert "ask" == policy(cli, "--policy", "ask")["default"]
    (cli.workspace / "moat.yaml").write_text("network: {policy: permissive}\n")
    assert "permissive" == policy(cli, "--trust")["mode"]
    configure(cli, "network: {policy: ask}\n")
    done = cli.run("run", "--trust", "--dry-run", "--", "true")
    assert "policy       ask: ask by default" in done.stdout
    assert "moat.yaml asks for the policy permissive, and your config.yaml for ask" in done.stderr
    assert "permissive" == policy(cli, "--trust", "--policy", "permissive")["mode"]
    done = cli.run("run", "--policy", "open", "--", "true")
    assert 2 == done.returncode


def ask_in_a_box(cli: Cli, *urls: str) -> list[dict[str, Any]]:
    """What a client in a box is answered, with `curl` as people have it."""
    script = "; ".join(f"curl -s -X {url}" for url in urls)
    done = cli.run("run", "--trust", "--", "sh", "-c", script)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_agent_reads_why_it_was_refused(cli: Cli) -> None:
    """The rule, the nearest, the commands; and the trace has the same."""
    (cli.workspace / "moat.yaml").write_text(GITHUB)
    lines, admin, evil = ask_in_a_box(
        cli,
        "DELETE https://api.github.com/repos/a?token=x",
        "GET https://api.github.com/Admin/",
        "GET http://evil.example:8080/",
    )
    (run,) = cli.runs()
    assert {
        "run": run["run"],
        "host": "api.github.com",
        "method": "DELETE",
        "path": "/repos/a",
        "nearest_rule": "api.github.com: allow GET /repos/** (moat.yaml)",
        "allow": f"moat allow api.github.com DELETE /repos/a --run {run['run']}",
    }.items() <= lines.items()
    assert "allow_next" not in lines
    assert "in moat.yaml: allow DELETE /repos/a" in lines["detail"]
    assert "deny * /admin/** at api.github.com (moat.yaml)" == admin["rule"]
    assert "deny evil.example (moat.yaml)" == evil["rule"]
    assert [lines["rule"], admin["rule"], evil["rule"]] == [
        row["rule"] for row in cli.json("trace")
    ]


@pytest.mark.parametrize("code", [1, 128, 137, 255])
def test_what_was_refused_is_told_whatever_the_code(cli: Cli, code: int) -> None:
    """Git ends with 128; a run that goes well says nothing of it."""
    script = "curl -s https://evil.example/ >&2; exit "
    failed = cli.run("run", "--", "sh", "-c", f"{script}{code}")
    assert code == failed.returncode
    assert failed.stderr.endswith(
        "moat: the policy refused: https://evil.example\n"
        "hint: run: moat trace; then: moat run --allow-host evil.example\n"
    )
    assert "the policy refused" not in cli.run("run", "--", "sh", "-c", f"{script}0").stderr


def test_at_a_terminal_as_well(cli: Cli) -> None:
    """Who sits there has seen what their program said, which need not be why."""
    script = "curl -s -o /dev/null https://evil.example/; exit 128"
    with Terminal() as terminal:
        words = cli.command("run", "--", "sh", "-c", script)
        with terminal.running(cli, *words) as process:
            assert 128 == terminal.wait(process)
        assert b"the policy refused: https://evil.example" in terminal.seen


def test_requests_that_were_refused_are_told_by_their_rule(cli: Cli) -> None:
    """And not with an option that opens all of their host."""
    (cli.workspace / "moat.yaml").write_text(GITHUB)
    script = "curl -s -X POST https://api.github.com/x; exit 1"
    done = cli.run("run", "--trust", "--", "sh", "-c", script)
    assert done.stderr.endswith(
        "hint: run: moat trace; what decided: the rules about requests to api.github.com "
        "(moat.yaml)\n"
    )
    assert "--allow-host" not in done.stderr


def test_an_option_that_opens_more_than_its_look_is_told_of(cli: Cli) -> None:
    """The address where clouds give out credentials."""
    option = ("--allow-host", "169.254.169.254:80")
    done = cli.run("run", "--dry-run", *option, "--", "true")
    assert 0 == done.returncode
    warning = "warning: 169.254.169.254:80 is where clouds give a machine its own credentials"
    assert warning in done.stderr


@pytest.mark.attack
def test_a_project_does_not_open_what_the_person_has_closed(cli: Cli) -> None:
    """Whatever it says, and whatever is typed; the settings name themselves."""
    configure(cli, GITHUB)
    (cli.workspace / "moat.yaml").write_text(
        "network: {policy: permissive, rules: [api.github.com, evil.example]}\n"
    )
    script = "curl -s -X POST https://api.github.com/repos/a; curl -s https://evil.example/"
    done = cli.run(
        *("run", "--trust", "--allow-host", "evil.example", "--policy", "permissive"),
        *("--", "sh", "-c", script),
    )
    post, evil = [json.loads(line) for line in done.stdout.splitlines()]
    assert [403, 403] == [post["status"], evil["status"]]
    assert "deny evil.example (config.yaml)" == evil["rule"]
    assert "allow evil.example (--allow-host)" == evil["nearest_rule"]
    assert "allow_next" not in evil
