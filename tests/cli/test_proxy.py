"""`moat proxy` serves a process that Moat did not start as a run is served."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moat.pki.java import java_trust_store
from moat.pki.pack import TRUST_VARIABLES
from support.alone import Alone, alone, point_at
from support.cli import Cli
from support.processes import wait_until
from support.sink import Sinks

SECRET = "t0p-s3cret-value-of-mine-0123456789"
HOSTS = ("api.example", "free.example", "other.example")
PLACES = {f"{host}:443": host for host in HOSTS} | {"free.example:80": "clear"}
GRANTED = ("--host", "api.example", "--header", "X-Mine", "--env", "TOKEN")
URL = "https://api.example/items"
REJECTED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def answer(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    return head + body


@pytest.fixture(scope="module")
def sinks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sinks]:
    """The world: servers that write down what they are asked."""
    answers = {
        "/echo": answer(b"you said " + SECRET.encode()),
        "/rejected": REJECTED,
    }
    directory = tmp_path_factory.mktemp("world")
    with Sinks(directory, hosts=HOSTS, names=(*HOSTS, "clear"), answers=answers) as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, sinks: Sinks) -> Cli:
    """A home with a grant, pointed at these servers."""
    directory = tmp_path_factory.mktemp("person")
    home, workspace = directory / "home", directory / "workspace"
    home.mkdir(mode=0o700)
    workspace.mkdir()
    cli = Cli(home, workspace)
    point_at(cli, sinks, PLACES)
    done = cli.run("grant", "header", "mine", *GRANTED, stdin=SECRET)
    assert 0 == done.returncode, done.stderr
    return cli


@pytest.fixture(scope="module")
def proxy(shared: Cli) -> Iterator[Alone]:
    """One that serves several tests."""
    with alone(shared, "--grant", "mine", "--allow-host", "free.example") as found:
        yield found


@pytest.fixture(autouse=True)
def _forget(sinks: Sinks) -> None:
    for name in sinks.seen:
        sinks.seen[name].clear()
        sinks.bodies[name].clear()


def heads(sinks: Sinks, name: str = "api.example") -> list[bytes]:
    return [head for _, head in sinks.seen[name]]


# clients


NODE = """
const http = require("http"), https = require("https"), url = new URL(process.env.HTTPS_PROXY);
const shown = Buffer.from(`${url.username}:${url.password}`).toString("base64");
const headers = {"Proxy-Authorization": `Basic ${shown}`};
const connect = {host: url.hostname, port: url.port, method: "CONNECT",
                 path: "api.example:443", headers};
http.request(connect).on("connect", (_, socket) =>
    https.get("https://api.example/items", {socket, agent: false}, answer =>
        console.log(answer.statusCode))).end();
"""
CLIENTS = {
    "curl": ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}\n", URL),
    # It asks without the token first, and again once it is told.
    "curl --proxy-anyauth": (
        *("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}\n"),
        *("--proxy-anyauth", URL),
    ),
    "requests": (
        sys.executable,
        "-c",
        f"import requests; print(requests.get({URL!r}).status_code)",
    ),
    "httpx": (sys.executable, "-c", f"import httpx; print(httpx.get({URL!r}).status_code)"),
    "urllib": (
        sys.executable,
        "-c",
        f"from urllib.request import urlopen; print(urlopen({URL!r}).status)",
    ),
    "wget": ("sh", "-c", f"wget -q -O /dev/null {URL} && echo 200"),
    "node": ("node", "-e", NODE),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_clients_are_served_by_what_is_printed(proxy: Alone, sinks: Sinks, name: str) -> None:
    """Over real TLS, with the credential put in, and the token told to nobody behind the proxy."""
    command = CLIENTS[name]
    if shutil.which(command[0]) is None or (name == "wget" and shutil.which("wget") is None):
        pytest.skip(f"{name} is not installed")
    more = {}
    if name == "wget":  # it looks into the system's store, and knows no variable for another
        rc = proxy.cli.home.parent / "wgetrc"
        rc.write_text(f"ca_certificate = {proxy.said['ca']}\n")
        more["WGETRC"] = str(rc)
    before = len(proxy.trace())
    done = proxy.client(*command, **more)
    assert "200" == done.stdout.strip(), done.stderr
    (head,) = heads(sinks)
    assert f"\r\nX-Mine: {SECRET}\r\n".encode() in head
    assert b"proxy-authorization" not in head.lower()
    rows = proxy.trace()[before:]
    assert [407] * (len(rows) - 1) == [row["status"] for row in rows[:-1]]
    assert len(rows) == (2 if "anyauth" in name else 1)
    assert (URL, "forwarded", 200, ["header:mine"]) == (
        rows[-1]["url"],
        rows[-1]["outcome"],
        rows[-1]["status"],
        rows[-1]["grants"],
    )


def test_plain_http_goes_where_a_port_was_named(proxy: Alone, sinks: Sinks) -> None:
    """By its whole URL; the token is not sent on."""
    assert "403" == proxy.status("http://free.example/")
    with alone(proxy.cli, "--allow-host", "free.example:80") as other:
        assert "200" == other.status("http://free.example/")
    (head,) = heads(sinks, "clear")
    assert b"proxy-authorization" not in head.lower()


def test_the_token_is_asked_for(proxy: Alone, sinks: Sinks) -> None:
    """Without it, and with another, there is nothing but 407."""
    at = proxy.address.partition("@")[2]
    token = proxy.address.partition("moat:")[2].partition("@")[0]
    for address in (f"http://{at}", f"http://moat:{token[:-1]}@{at}", f"http://{token}@{at}"):
        assert "407" == proxy.status("-x", address, URL)
        assert "407" == proxy.status("-x", address, "http://free.example/")
    assert [] == [*heads(sinks), *heads(sinks, "clear")]
    assert "200" == proxy.status("-x", f"http://whoever:{token}@{at}", URL)
    header = f"Proxy-Authorization: Bearer {token}"
    assert "200" == proxy.status("-x", f"http://{at}", "--proxy-header", header, URL)


# policy, placeholders, secrets: as in a run


def test_policy_is_enforced_and_can_be_changed_meanwhile(proxy: Alone, sinks: Sinks) -> None:
    """A refusal says what to type; typed, it is allowed at once, and denied again."""
    url = "https://other.example/"
    done = proxy.curl("-w", "\n%{http_code}", url)
    body, status = done.stdout.rsplit("\n", 1)
    problem = json.loads(body)
    assert "403" == status
    assert f"moat allow other.example --run {proxy.run}" == problem["allow"]
    assert "moat proxy --allow-host other.example" == problem["allow_next"]
    assert [] == heads(sinks, "other.example")
    for word, expected in (("allow", "200"), ("deny", "403")):
        told = proxy.cli.run(word, "other.example", "--run", proxy.run)
        assert 0 == told.returncode, told.stderr
        assert expected == proxy.status(url)
    assert 1 == len(heads(sinks, "other.example"))


def test_a_placeholder_goes_to_its_own_place_alone(shared: Cli, sinks: Sinks) -> None:
    """It is among what is printed; sent elsewhere it is refused, and told of at the end."""
    with alone(shared, "--grant", "mine", "--allow-host", "free.example") as proxy:
        placeholder = proxy.said["environment"]["TOKEN"]
        header = f"X-Token: {placeholder}"
        refused = proxy.curl("-H", header, "https://free.example/")
        assert "urn:moat:problem:placeholder-leak" == json.loads(refused.stdout)["type"]
        assert "200" == proxy.status("-H", "X-Token: of mine", "https://free.example/")
        assert "200" == proxy.status("-H", f"X-Mine: {placeholder}", URL)
        assert 0 == proxy.end()
    assert proxy.ended is not None
    assert "moat: alarm: the placeholder of header:mine" in proxy.ended
    assert placeholder.encode() not in b"".join([*heads(sinks), *heads(sinks, "free.example")])


def test_a_secret_that_is_echoed_does_not_come_back(proxy: Alone, sinks: Sinks) -> None:
    """The server did send it."""
    done = proxy.curl("https://api.example/echo")
    assert done.stdout.startswith("you said ")
    assert SECRET not in done.stdout
    assert 1 == len(heads(sinks))


def test_a_credential_that_was_rejected_is_told_at_the_end(shared: Cli) -> None:
    """As at the end of a run; the twin ends in silence."""
    with alone(shared, "--grant", "mine") as proxy:
        assert "401" == proxy.status("https://api.example/rejected")
        assert 0 == proxy.end()
    assert proxy.ended is not None
    assert "the credential of grant header:mine was rejected (401)" in proxy.ended
    with alone(shared, "--grant", "mine") as proxy:
        assert "200" == proxy.status(URL)
        assert 0 == proxy.end()
    assert proxy.ended is not None
    assert "moat: " not in proxy.ended


def test_what_policy_leaves_open_is_asked(shared: Cli) -> None:
    """Who sits there is told the command; the request waits for it."""
    with alone(shared, "--policy", "ask", "--name", "asking") as proxy:
        asking = subprocess.Popen(
            ["curl", "-sS", "-o", os.devnull, "-w", "%{http_code}", "https://other.example/"],
            env=proxy.environ(),
            stdout=subprocess.PIPE,
            text=True,
        )
        with asking:
            assert proxy.process.stderr is not None
            line = ""
            while not line.startswith("asked: "):
                line = proxy.process.stderr.readline()
                assert line, "nothing was asked"
            assert "asked: GET https://other.example/; answer: moat approve 1" in line
            command = line.partition("answer: moat ")[2].split()
            assert 0 == proxy.cli.run(*command).returncode
            assert "200" == asking.communicate(timeout=60)[0]


# what is printed


def test_a_shell_takes_it_while_it_serves(shared: Cli, sinks: Sinks) -> None:
    """`eval "$(moat proxy … &)"`: it is read to its end, and the proxy goes on."""
    moat = " ".join(shared.command("proxy", "--grant", "mine"))
    script = f"""
    eval "$({moat} 2>notes &)"
    curl -sS -o /dev/null -w '%{{http_code}}' {URL} &&
    kill $MOAT_PROXY_PID && env | grep -c MOAT_PROXY_PID
    """
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=shared.workspace,
        env=shared.environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "2000" == done.stdout.strip().replace("\n", ""), done.stderr
    assert 1 == len(heads(sinks))
    (run,) = re.findall(
        "the proxy of run ([a-z0-9]+) listens", (shared.workspace / "notes").read_text()
    )
    wait_until(lambda: _record(shared, run)["state"] == "stopped", what="it has ended")


def _record(cli: Cli, run: str) -> dict[str, object]:
    (record,) = [record for record in cli.runs() if record["run"] == run]
    return record


def test_the_variables_are_those_of_the_trust_pack(proxy: Alone) -> None:
    """And the placeholders; JSON and shell say the same."""
    environment = proxy.said["environment"]
    assert {*TRUST_VARIABLES, "TOKEN"} == set(environment)
    assert f"127.0.0.1:{proxy.port}" == proxy.said["listen"]
    assert proxy.process.pid == proxy.said["pid"]
    assert re.fullmatch(
        rf"http://moat:[A-Za-z0-9_-]{{43}}@127\.0\.0\.1:{proxy.port}", environment["HTTP_PROXY"]
    )


def test_the_files_hold_the_certificate_alone(proxy: Alone) -> None:
    """For programs of the same account; the CA's key is in none of them."""
    bundle, store = Path(proxy.said["ca"]), Path(proxy.said["java_trust_store"])
    pem = (proxy.cli.home / "ca" / "ca.pem").read_bytes()
    assert pem == bundle.read_bytes()
    assert java_trust_store(pem) == store.read_bytes()
    assert b"PRIVATE" not in bundle.read_bytes() + store.read_bytes()
    assert {bundle, store} == set(proxy.stage.iterdir())
    assert 0o700 == stat.S_IMODE(proxy.stage.parent.stat().st_mode)


def test_what_it_says_to_a_person_holds_no_secret(shared: Cli) -> None:
    """Neither the credential nor the token; both ways of printing the data leave out the first."""
    for words in ((), ("--json",)):
        with shared.started("proxy", "--grant", "mine", *words) as process:
            assert process.stdout is not None
            printed = process.stdout.read()
            process.terminate()
            _, said = process.communicate(timeout=30)
        token = re.findall("http://moat:([^@]+)@", printed)[0]
        assert SECRET not in printed + said
        assert token not in said
        assert token in printed


def test_no_trace_of_the_token_is_kept(shared: Cli) -> None:
    """Not in the run's directory, whatever a client does with it."""
    with alone(shared, "--allow-host", "free.example") as proxy:
        token = proxy.address.partition("moat:")[2].partition("@")[0]
        assert "200" == proxy.status(f"https://free.example/{token}?token={token}")
        assert 0 == proxy.end()
    files = [file for file in proxy.stage.parent.rglob("*") if file.is_file()]
    assert proxy.stage.parent / "trace.db" in files
    assert not [file for file in files if token.encode() in file.read_bytes()]
    assert "https://free.example/***?token=***" == proxy.trace()[0]["url"]


# its life


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_when_asked_and_leaves_nothing_behind(shared: Cli, number: signal.Signals) -> None:
    """Its exit code is 0; port and files are gone, and the record says that it has ended."""
    with alone(shared, "--grant", "mine", "--name", "for-ci") as proxy:
        assert ("running", None) == proxy.state()
        client = socket.create_connection(("127.0.0.1", proxy.port))
        assert 0 == proxy.end(number)
        with client:
            client.settimeout(10)
            try:
                assert b"" == client.recv(1)
            except ConnectionResetError:
                pass
    assert ("stopped", 0) == proxy.state()
    assert not proxy.stage.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port))
    record = _record(shared, proxy.run)
    assert ("proxy", None, None) == (record["kind"], record["workspace"], record["agent"])
    assert ["moat", "proxy", "--json", "--grant", "mine", "--name", "for-ci"] == record["command"]
    table = shared.run("list", "--all").stdout
    assert re.search(rf"{proxy.run} +for-ci +stopped +0 .* -  +moat proxy --json", table)
    assert "" == shared.run("logs", "for-ci").stdout


def test_one_that_was_killed_is_lost(shared: Cli) -> None:
    """As any run is; nothing can then be told to it."""
    with alone(shared) as proxy:
        proxy.end(signal.SIGKILL)
    assert ("lost", None) == proxy.state()
    told = shared.run("allow", "other.example", "--run", proxy.run)
    assert 2 == told.returncode
    assert "has ended (lost)" in told.stderr


def test_a_signal_that_was_ignored_at_the_start_stays_ignored(shared: Cli) -> None:
    """`nohup`, and a Ctrl-C that is meant for others."""
    for number in (signal.SIGHUP, signal.SIGINT):
        command = ["sh", "-c", f'trap "" {number.name[3:]}; exec "$@"', "sh"]
        command += shared.command("proxy", "--json", "--allow-host", "free.example")
        with alone(shared, command=command) as proxy:
            proxy.process.send_signal(number)
            assert "200" == proxy.status("https://free.example/")
            assert ("running", None) == proxy.state()
            assert 0 == proxy.end(signal.SIGTERM)


def test_nobody_reads_what_it_prints(shared: Cli) -> None:
    """It does not go on where nobody can have been told of it."""
    reader, writer = os.pipe()
    os.close(reader)
    with shared.started("proxy", stdout=writer) as process:
        os.close(writer)
        process.communicate(timeout=30)
    assert 141 == process.returncode


def test_the_process_dumps_no_core(proxy: Alone) -> None:
    """The secrets are in its memory."""
    limits = Path(f"/proc/{proxy.process.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    assert "Umask:\t0077" in Path(f"/proc/{proxy.process.pid}/status").read_text()


# where, and who


def test_two_do_not_listen_at_one_port(proxy: Alone) -> None:
    """The second says so, and leaves no record; the first goes on."""
    before = len(proxy.cli.runs())
    done = proxy.cli.run("proxy", "--listen", f"127.0.0.1:{proxy.port}")
    assert 1 == done.returncode
    assert f"moat: somebody listens at 127.0.0.1:{proxy.port} already" in done.stderr
    assert "" == done.stdout
    assert before == len(proxy.cli.runs())
    assert "200" == proxy.status(URL)


def test_a_port_is_free_again_at_once(shared: Cli) -> None:
    """Although connections of the last one may still be ending."""
    with alone(shared) as proxy:
        port = proxy.port
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while client.recv(1 << 16):  # the proxy is the first to close, and so waits for longest
                pass
        proxy.end()
    with alone(shared, "--listen", f"localhost:{port}") as proxy:
        assert f"127.0.0.1:{port}" == proxy.said["listen"]


def test_it_listens_on_ipv6(shared: Cli) -> None:
    """The variables have the address in brackets."""
    with alone(shared, "--listen", "[::1]:0", "--allow-host", "free.example") as proxy:
        assert proxy.address.endswith(f"@[::1]:{proxy.port}")
        assert "200" == proxy.status("https://free.example/")


def test_it_listens_everywhere_with_a_token_alone(shared: Cli) -> None:
    """Without one, other machines would use the grants."""
    done = shared.run("proxy", "--listen", "0.0.0.0:0", "--no-token")
    assert 2 == done.returncode
    assert "other machines can reach 0.0.0.0:0" in done.stderr
    with alone(shared, "--listen", "0.0.0.0:0", "--allow-host", "free.example") as proxy:
        assert proxy.address.endswith(f"@127.0.0.1:{proxy.port}")
        assert "200" == proxy.status("https://free.example/")
        at = proxy.address.partition("@")[2]
        assert "407" == proxy.status("-x", f"http://{at}", "https://free.example/")
        proxy.end()
    assert proxy.ended is not None
    assert "warning: token and plain http cross the network in the clear" in proxy.ended


def test_without_a_token_every_process_is_served(shared: Cli) -> None:
    """On loopback, and with a warning."""
    with alone(shared, "--no-token", "--grant", "mine") as proxy:
        assert f"http://127.0.0.1:{proxy.port}" == proxy.address
        assert "200" == proxy.status(URL)
        proxy.end()
    assert proxy.ended is not None
    assert "warning: without a token" in proxy.ended


def test_a_token_of_ones_own(shared: Cli, tmp_path: Path) -> None:
    """From a file that nobody else can read."""
    file = tmp_path / "token"
    file.write_text("my-own_token.0123456789~\n")
    file.chmod(0o600)
    with alone(shared, "--token-file", str(file), "--grant", "mine") as proxy:
        assert f"http://moat:my-own_token.0123456789~@127.0.0.1:{proxy.port}" == proxy.address
        assert "200" == proxy.status(URL)
    file.chmod(0o640)
    done = shared.run("proxy", "--token-file", str(file))
    assert 1 == done.returncode
    assert "is open to other users" in done.stderr
    file.chmod(0o600)
    file.write_text(SECRET)
    done = shared.run("proxy", "--token-file", str(file), "--grant", "mine")
    assert 1 == done.returncode
    assert "the token is the secret of a grant" in done.stderr
    assert SECRET not in done.stdout + done.stderr


# what cannot be


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--grant", "openai"), 1, "there is no grant for openai"),
        (("--grant", "nonsense"), 2, "there is no grant 'nonsense'"),
        (("--listen", "example.com:1"), 2, "--listen: example.com is a name"),
        (("--listen", "192.0.2.1:0"), 1, "192.0.2.1 is no address of this machine"),
        (("--allow", "http://x"), 2, "--allow-host"),
        (("--policy", "open"), 2, "--policy: 'open' is none of strict, ask, permissive"),
        (("--token-file", "/nowhere/token"), 2, "there is no file /nowhere/token"),
        (("--token-file", "/x", "--no-token"), 2, "do not go together"),
        (("--name", "No Name"), 2, "--name"),
        (("curl",), 2, "unrecognized arguments: curl"),
        (
            ("--name", SECRET, "--grant", "mine"),
            1,
            "the secret of grant header:mine itself stands in the name of the run",
        ),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    shared: Cli, words: tuple[str, ...], code: int, said: str
) -> None:
    """No port, no record, no data; the grants are opened first."""
    before = len(shared.runs())
    done = shared.run("proxy", *words)
    assert (code, "") == (done.returncode, done.stdout), done.stderr
    assert said in done.stderr
    assert "hint: " in done.stderr
    assert before == len(shared.runs())


def test_a_policy_file_has_rules_and_what_becomes_of_the_rest(
    shared: Cli, sinks: Sinks, tmp_path: Path
) -> None:
    """Written as below `network` in moat.yaml; what is typed beside it comes first."""
    file = tmp_path / "network.yaml"
    file.write_text("policy: permissive\nrules:\n  - deny other.example\n  - deny free.example\n")
    file.chmod(0o644)
    words = ("--policy", str(file), "--allow", "free.example")
    with alone(shared, "--grant", "mine", *words) as proxy:
        assert "403" == proxy.status("https://other.example/")
        assert "200" == proxy.status("https://free.example/")
        assert "200" == proxy.status(URL)
    rules = [row["rule"] for row in proxy.trace()]
    assert ["deny other.example (--policy)", "allow free.example (--allow-host)"] == rules[:2]
    file.write_text("policy: permissive\nrules: [deny other.example]\nhosts: []\n")
    done = shared.run("proxy", "--policy", str(file))
    assert 2 == done.returncode
    assert f'moat: {file}:3:1: unknown key "hosts"' in done.stderr
    file.chmod(0o666)
    done = shared.run("proxy", "--policy", str(file))
    assert "can be changed by other users" in done.stderr
