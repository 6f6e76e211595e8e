"""Programs that know no proxy do their work all the same, under the same policy."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from support.cli import Cli
from support.standin import RunningStandIn

pytestmark = pytest.mark.e2e

MODELS = "https://api.openai.com/v1/models"
NO_PROXIES = "unset $(env | sed -n 's/^\\([A-Za-z]*_[Pp][Rr][Oo][Xx][Yy]\\)=.*/\\1/p'); "
KEY = "Authorization: Bearer $OPENAI_API_KEY"
CURL = f'curl -sS -o /dev/null -w "%{{http_code}} %{{remote_ip}}" -H "{KEY}" '
PYTHON = """
import os, urllib.request
key = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
request = urllib.request.Request("https://api.openai.com/v1/models", headers=key)
with urllib.request.urlopen(request, timeout=20) as answer:
    print(answer.status, end="")
"""
NODE = """
const key = {Authorization: "Bearer " + process.env.OPENAI_API_KEY};
fetch("https://api.openai.com/v1/models", {headers: key}).then(
    answer => process.stdout.write(String(answer.status)));
"""


@pytest.fixture
def key_cli(cli: Cli, standin: RunningStandIn) -> Cli:
    """`moat` pointed at the stand-in, with the key granted."""
    cli.point_at(standin)
    cli.grant()
    return cli


def exchanges(cli: Cli) -> list[dict[str, Any]]:
    """The trace of the latest run, as far as it tells."""
    rows: list[dict[str, Any]] = cli.json("trace")
    return [{name: row[name] for name in ("method", "url", "outcome", "grants")} for row in rows]


FORWARDED = {"method": "GET", "url": MODELS, "outcome": "forwarded", "grants": ["openai"]}


def test_curl_without_a_proxy(key_cli: Cli) -> None:
    """It resolves, connects, is answered by the API with the real key, and is in the trace."""
    done = key_cli.run(
        "run", "--grant", "openai", "--", "sh", "-c", f"{CURL} --noproxy '*' {MODELS}"
    )
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout in ("200 198.18.0.1", "200 fd4d:6f61:7400::1")
    assert [FORWARDED] == exchanges(key_cli)


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("curl", f"{CURL} --noproxy '*' -4 {MODELS}"),
        ("curl", f"{CURL} --noproxy '*' --resolve api.openai.com:443:192.0.2.1 {MODELS}"),
        ("python3", f"{NO_PROXIES} python3 -c '{PYTHON}'"),
        ("node", f"{NO_PROXIES} node -e '{NODE}'"),
    ],
    ids=["curl over IPv4", "curl to a fixed address", "python", "node"],
)
def test_others_without_a_proxy(key_cli: Cli, program: str, command: str) -> None:
    """Each has its own way of resolving and of beginning TLS."""
    if shutil.which(program, path="/usr/bin:/bin") is None:
        pytest.skip(f"{program} is not installed here")
    done = key_cli.run("run", "--grant", "openai", "--", "sh", "-c", command)
    assert (0, "") == (done.returncode, done.stderr)
    assert "200" == done.stdout.split()[0]
    assert [FORWARDED] == exchanges(key_cli)


def test_a_name_that_is_denied_does_not_resolve(key_cli: Cli) -> None:
    """The program is told so at once, and the person what it was and what would allow it."""
    curl = "curl -sS --noproxy '*' https://evil.example/"
    done = key_cli.run("run", "--grant", "openai", "--", "sh", "-c", curl)
    assert 6 == done.returncode
    assert "Could not resolve host: evil.example" in done.stderr
    assert "the policy refused: dns://evil.example" in done.stderr
    assert "--allow-host evil.example" in done.stderr
    refused = {"method": "DNS", "url": "dns://evil.example", "outcome": "refused", "grants": []}
    assert [refused] == exchanges(key_cli)


def test_every_way_of_resolving_works(cli: Cli) -> None:
    """Also for one family alone, by a program that asks if the machine has an address of it."""
    script = "getent ahostsv4 a.example && getent ahostsv6 a.example && getent hosts localhost"
    done = cli.run("run", "--allow-host", "a.example", "--", "sh", "-c", script)
    assert 0 == done.returncode, done.stderr
    found = {line.split()[0] for line in done.stdout.splitlines()}
    assert {"198.18.0.1", "fd4d:6f61:7400::1"} == found - {"::1", "127.0.0.1"}
    assert found & {"::1", "127.0.0.1"}
    assert [] == exchanges(cli)


def test_with_permissive_rules_every_public_name_resolves(cli: Cli) -> None:
    """And every address that is not public is out of reach all the same."""
    (cli.workspace / "moat.yaml").write_text("network:\n  policy: permissive\n")
    script = (
        "getent hosts whatever.example; getent hosts metadata; "
        "curl -sS -o /dev/null -w '%{http_code}' --noproxy '*' http://169.254.169.254/latest"
    )
    done = cli.run("run", "--trust", "--", "sh", "-c", script)
    assert 0 == done.returncode, done.stderr
    resolved, status = done.stdout.splitlines()
    assert resolved.split()[0] in ("198.18.0.1", "fd4d:6f61:7400::1")
    assert "403" == status
    assert [("http://169.254.169.254/latest", "failed")] == [
        (row["url"], row["outcome"]) for row in exchanges(cli)
    ]
