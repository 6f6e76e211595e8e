"""`moat allow`, `deny` and `approve` reach the run that is meant, and say what they did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from moat.config.paths import Home
from moat.config.settings import load_settings
from support.cli import Cli
from support.live import LiveRun
from support.pty import Terminal

OTHER = "dc2aaaaaaa"


@pytest.fixture
def run(cli: Cli) -> Iterator[LiveRun]:
    with LiveRun(cli.home, name="fix-login") as running:
        yield running


def said(cli: Cli, *words: str, code: int = 0) -> str:
    """What a command says; its stdout is empty."""
    done = cli.run(*words)
    assert (code, "") == (done.returncode, done.stdout), done.stderr
    return done.stderr


# allow and deny


def test_a_host_is_allowed_and_denied(cli: Cli, run: LiveRun) -> None:
    """In the only live run, at once; what waits has its answer, and it is written down."""
    run.asks("a.test", "b.test")
    assert (
        "run dc1eh6tndp: a.test is allowed for this run; a request that waited has its answer\n"
        == (said(cli, "allow", "a.test"))
    )
    assert [True, None] == run.answers()
    assert "run dc1eh6tndp: a.test is denied for this run\n" == said(cli, "deny", "a.test")
    assert not run.may_go("a.test")
    assert not run.may_go("a.test:8443")
    assert [
        ("allow", "a.test", "run", "moat allow"),
        ("deny", "a.test", "run", "moat deny"),
    ] == run.decisions()
    assert not (cli.home / "config.yaml").exists()


def test_once_is_for_one_request(cli: Cli, run: LiveRun) -> None:
    """The next one, or what waits."""
    said(cli, "allow", "a.test", "--once")
    assert run.may_go("a.test")
    assert run.may_go("a.test") is None
    said(cli, "deny", "a.test", "--once")
    assert [True, False] == run.answers()
    assert "nothing waits for a.test" in said(cli, "deny", "a.test", "--once", code=1)


def test_always_is_stored_as_well(cli: Cli, run: LiveRun) -> None:
    """For this run and for those to come; said again, it is not stored again."""
    assert f"a.test is allowed always (written to {cli.home}/config.yaml)" in said(
        cli, "allow", "a.test", "--always"
    )
    assert run.may_go("a.test")
    assert "it stood already in" in said(cli, "allow", "a.test", "--always")
    said(cli, "deny", "b.test", "--always")
    network = load_settings(Home(cli.home)).network
    assert (("a.test",), ["deny b.test"]) == (network.allow, [str(rule) for rule in network.rules])
    assert {"always"} == {extent for _, _, extent, _ in run.decisions()}


def test_a_denied_group_that_a_host_is_in_is_told(cli: Cli) -> None:
    """Or one would believe that it is allowed now; not where it stands in front of the group."""
    config = cli.home / "config.yaml"
    config.write_text("network: {groups: {ours: [a.test]}}\n")
    config.chmod(0o600)
    said(cli, "deny", "@ours", "--always")
    told = said(cli, "allow", "a.test", "--always")
    assert "@ours stays denied" in told
    assert "@ours" not in said(cli, "allow", "b.test", "--always")
    config.write_text(
        'network: {groups: {ours: [a.test]}, rules: [a.test, "deny @ours"]}\ntrust: ask\n'
    )
    assert "@ours" not in said(cli, "allow", "a.test", "--always")


def test_always_needs_no_run(cli: Cli) -> None:
    """It is stored for those to come; a run that is named must be there."""
    assert "no run is live; a.test is allowed always" in said(cli, "allow", "a.test", "--always")
    assert "there is no run 'x'" in said(cli, "deny", "a.test", "--always", "--run", "x", code=2)
    assert "network:\n  allow:\n    - a.test\n" == (cli.home / "config.yaml").read_text()


def test_what_cannot_be_stored_is_not_done_at_all(cli: Cli, run: LiveRun) -> None:
    """An error, and the run is as it was."""
    (cli.home / "config.yaml").write_text("network: 1\n")
    (cli.home / "config.yaml").chmod(0o600)
    assert "config.yaml:1:" in said(cli, "allow", "a.test", "--always", code=2)
    assert not run.directory.decisions.exists()


@pytest.mark.parametrize("command", ["allow", "deny", "approve"])
def test_the_run_that_is_meant(cli: Cli, run: LiveRun, command: str) -> None:
    """By id, its beginning, or name; without, the only one, and of several none."""
    words = [command] if command == "approve" else [command, "a.test"]
    with LiveRun(cli.home, OTHER):
        error = said(cli, *words, code=2)
        assert "2 runs are live: " in error
        assert "dc1eh6tndp (fix-login)" in error
        assert "hint: say which: --run dc" in error
        for given in ("dc1eh6tndp", "dc1e", "fix-login"):
            said(cli, *words, "--run", given)
        assert command == "approve" or 3 == len(run.decisions())
    assert f"run {OTHER} has ended (lost)" in said(cli, *words, "--run", OTHER, code=2)


@pytest.mark.parametrize("command", ["allow", "deny", "approve"])
def test_without_a_run_there_is_nothing_to_tell(cli: Cli, command: str) -> None:
    """Which is said, with the command that lists them."""
    words = [command] if command == "approve" else [command, "a.test"]
    assert "moat: no run is live\nhint: run: moat list\n" == said(cli, *words, code=2)


@pytest.mark.parametrize("host", ["", "http://a.test", "127.1", "*", "a.test:0", "a b"])
def test_what_is_no_host_is_refused(cli: Cli, host: str) -> None:
    """Before a run is looked for."""
    for command in ("allow", "deny"):
        assert "hint: write HOST, HOST:PORT or *.DOMAIN" in said(cli, command, host, code=2)


def test_some_requests_are_allowed_and_denied(cli: Cli, run: LiveRun) -> None:
    """Of a host, and of no more of it; wherever the options stand."""
    assert "run dc1eh6tndp: a.test GET /x/** is allowed for this run\n" == said(
        cli, "allow", "a.test", "--run", "fix-login", "get", "/x/**"
    )
    assert run.may_go("a.test", "/x/y")
    assert not run.may_go("a.test", "/y")
    said(cli, "deny", "--run", "dc1e", "a.test", "*", "/x/secret")
    assert not run.may_go("a.test", "/X/secret/")
    assert run.may_go("a.test", "/x/y")
    assert [
        ("allow", "a.test GET /x/**", "run", "moat allow"),
        ("deny", "a.test * /x/secret", "run", "moat deny"),
    ] == run.decisions()
    said(cli, "allow", "b.test", "GET", "/once", "--once")
    assert run.may_go("b.test", "/other") is None
    assert run.may_go("b.test", "/once")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("GET",), "METHOD and /PATH go together, and there is only 'GET'"),
        (("/x",), "METHOD and /PATH go together, and there is only '/x'"),
        (("GETT", "/x"), "there is no method 'GETT'\nhint: did you mean GET?"),
        (("G_T", "/x"), "'G_T' is no method\nhint: write a method and a path"),
        (("GET", "x"), "'x': the path does not begin with /\nhint: write a method and a path"),
        (("GET", "/a**"), "** stands for whole segments"),
        (("GET", "/x", "/y"), "unrecognized arguments: /y"),
        (("GET", "/x", "--always"), "--always is for a host as a whole\nhint: write it into"),
    ],
)
def test_what_is_no_request_is_refused(cli: Cli, words: tuple[str, ...], message: str) -> None:
    """In one error, before a run is looked for."""
    for command in ("allow", "deny"):
        assert message in said(cli, command, "a.test", *words, code=2)


def test_where_a_line_is_kept_always_is_told(cli: Cli) -> None:
    """As it is to be written; and what is written so is read."""
    error = said(cli, "deny", "a.test", "DELETE", "/x/**", "--always", code=2)
    text = error.partition("below network: ")[2]
    assert 'rules: [{host: "a.test", rules: ["deny DELETE /x/**"]}]\n' == text
    (cli.home / "config.yaml").write_text(f"network:\n  {text}")
    (cli.home / "config.yaml").chmod(0o600)
    (rule,) = load_settings(Home(cli.home)).network.rules
    assert ("a.test", ("deny DELETE /x/**",)) == (rule.host, rule.paths)


def test_a_method_nobody_knows_is_taken_with_a_warning(cli: Cli, run: LiveRun) -> None:
    """A server may have methods of its own."""
    told = said(cli, "allow", "a.test", "frobnicate", "/x")
    assert "warning: FROBNICATE is no method that Moat knows" in told
    assert run.may_go("a.test", "/x", "FROBNICATE")
    assert "warning" not in said(cli, "allow", "a.test", "PROPFIND", "/x")


def test_a_group_is_allowed_and_denied(cli: Cli, run: LiveRun) -> None:
    """Moat's own and the person's: each of its hosts, at once."""
    (cli.home / "config.yaml").write_text(
        'network: {groups: {ours: [a.test, "*.b.test:8443"]}}\ntrust: ask\n'
    )
    (cli.home / "config.yaml").chmod(0o600)
    run.asks("a.test", "x.b.test:8443", "c.test")
    assert "run dc1eh6tndp: @ours is allowed for this run; 2 requests that waited have" in said(
        cli, "allow", "@ours"
    )
    assert [True, True, None] == run.answers()
    said(cli, "deny", "@ours")
    assert [False, False] == [run.may_go("a.test:99"), run.may_go("x.b.test")]
    said(cli, "allow", "@github")
    assert run.may_go("codeload.github.com")
    said(cli, "deny", "@github", "POST", "/**")
    assert run.may_go("github.com", "/x")
    assert not run.may_go("github.com", "/x", "POST")
    assert ["@ours", "@ours", "@github", "@github POST /**"] == [s for _, s, *_ in run.decisions()]


def test_a_group_is_stored_by_its_name(cli: Cli) -> None:
    """What is in it then is looked up when a run starts."""
    said(cli, "allow", "@github", "--always")
    assert ("@github",) == load_settings(Home(cli.home)).network.allow
    said(cli, "deny", "@github", "--always")
    network = load_settings(Home(cli.home)).network
    assert ((), ["deny @github"]) == (network.allow, [*map(str, network.rules)])


def test_what_is_no_group_is_refused(cli: Cli, run: LiveRun) -> None:
    """With those there are; a single request has a single host."""
    for command in ("allow", "deny"):
        error = said(cli, command, "@nosuch", code=2)
        assert "there is no group @nosuch\nhint: there are @crates, @debian, @github" in error
        assert "--once is for one host" in said(cli, command, "@github", "--once", code=2)
    assert not run.directory.decisions.exists()


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ("169.254.169.254", "is where clouds give a machine its own credentials"),
        ("169.254.169.254:80", "is where clouds give a machine its own credentials"),
        ("[fd00:ec2::254]:80", "is where clouds give a machine its own credentials"),
        ("10.1.2.3:8080", "is on this machine or its network"),
        ("127.0.0.1:8080", "is on this machine or its network"),
        ("0.0.0.0", "is on this machine or its network"),
    ],
)
def test_what_an_address_opens_is_told(cli: Cli, run: LiveRun, host: str, what: str) -> None:
    """It can be allowed, and nobody does so without having read what that is."""
    assert said(cli, "allow", host).startswith(f"warning: {host} {what}")
    assert run.may_go(host)
    assert "warning" not in said(cli, "deny", host)


@pytest.mark.parametrize("host", ["1.1.1.1", "[2606:4700::1]", "localhost:5432", "*.a.test"])
def test_what_opens_nothing_of_ones_own_is_not_warned_of(cli: Cli, run: LiveRun, host: str) -> None:
    """Nor what says itself where it is."""
    assert run.directory.root.exists()
    assert "warning" not in said(cli, "allow", host)


@pytest.mark.parametrize("extent", ["run", "always"])
def test_ports_of_what_is_allowed_and_denied(cli: Cli, run: LiveRun, extent: str) -> None:
    """Without one: 443 is allowed, and every one is denied, plain http as well."""
    options = () if extent == "run" else ("--always",)
    said(cli, "allow", "a.test", *options)
    assert [True, None, None] == [
        run.may_go("a.test"),
        run.may_go("a.test:8443"),
        run.may_go("a.test", scheme="http"),
    ]
    said(cli, "deny", "a.test", *options)
    for port in ("", ":8443", ":80"):
        assert run.may_go(f"a.test{port}") is False
    assert run.may_go("a.test", scheme="http") is False
    said(cli, "deny", "b.test:443", *options)
    assert [False, None] == [run.may_go("b.test"), run.may_go("b.test:8443")]


# approve


def test_what_waits_is_listed(cli: Cli, run: LiveRun) -> None:
    """For a person, and for a program."""
    assert "nothing waits\n" == said(cli, "approve")
    assert [] == cli.json("approve")
    run.asks("a.test", "a.test", "b.test:81")
    done = cli.run("approve")
    assert (0, "") == (done.returncode, done.stderr)
    assert [
        ["ID", "HOST", "REQUEST", "WAITING"],
        ["1", "a.test", "GET", "https://a.test/", "2"],
        ["3", "b.test:81", "GET", "https://b.test:81/", "1"],
    ] == [line.split() for line in done.stdout.splitlines()]
    assert [(1, "a.test", 2), (3, "b.test:81", 1)] == [
        (question["id"], question["host"], question["waiting"]) for question in cli.json("approve")
    ]


@pytest.mark.parametrize(
    ("options", "answer", "later"),
    [
        ((), True, True),
        (("--once",), True, None),
        (("--always",), True, True),
        (("--deny",), False, False),
        (("--deny", "--once"), False, None),
        (("--deny", "--always"), False, False),
    ],
)
def test_a_question_is_answered(
    cli: Cli, run: LiveRun, options: tuple[str, ...], answer: bool, later: bool | None
) -> None:
    """As far as it was said; the answer is for the host and the port that were asked about."""
    run.asks("a.test")
    assert "a.test" in said(cli, "approve", "1", *options)
    assert [answer] == run.answers()
    assert later == run.may_go("a.test")
    assert run.may_go("a.test:8443") is None
    network = load_settings(Home(cli.home)).network
    stored = [*network.allow, *map(str, network.rules)]
    expected = {("--always",): ["a.test"], ("--deny", "--always"): ["deny a.test:443"]}
    assert expected.get(options, []) == stored
    assert {"moat approve"} == {by for *_, by in run.decisions()}


def test_a_question_that_is_none(cli: Cli, run: LiveRun) -> None:
    """It was answered, or never asked."""
    run.asks("a.test")
    said(cli, "approve", "1")
    for number in ("1", "2", "0"):
        assert f"there is no question {number} now" in said(cli, "approve", number, code=1)
    assert "give its ID" in said(cli, "approve", "--once", code=2)
    assert "--json goes without" in said(cli, "approve", "1", "--json", code=2)
    for text in ("x", "1.5", "", "²"):
        assert (
            f"moat: {text!r} is no number of a question\nhint: see what waits: moat approve\n"
            == said(cli, "approve", text, code=2)
        )


def test_at_a_terminal_each_is_asked(cli: Cli, run: LiveRun) -> None:
    """One after the other, also one that comes meanwhile, until there is none."""
    run.asks("a.test", "b.test", "c.test")
    with Terminal() as terminal, terminal.running(cli, *cli.command("approve")) as process:

        def answer(host: bytes, *keys: bytes) -> None:
            terminal.wait_for(b"https://" + host)
            terminal.seen = terminal.seen.partition(b"https://" + host)[2]
            for pressed in keys:
                terminal.wait_for(b"then Enter: ")
                terminal.seen = b""
                terminal.type(pressed)

        answer(b"a.test", b"r\n")
        answer(b"b.test", b"hm\n", b"d\n")
        run.asks("d.test")
        answer(b"c.test", b"\n")
        answer(b"d.test", b"q\n")
        assert 0 == terminal.wait(process)
    assert [True, False, False, False] == run.answers()
    assert not run.may_go("e.test")


def test_at_a_terminal_nothing_is_approved_by_going_away(cli: Cli, run: LiveRun) -> None:
    """The end of input leaves what waits waiting."""
    run.asks("a.test")
    with Terminal() as terminal, terminal.running(cli, *cli.command("approve")) as process:
        terminal.wait_for(b"then Enter: ")
        terminal.type(b"\x04")
        assert 0 == terminal.wait(process)
    assert [None] == run.answers()
