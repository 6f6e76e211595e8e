"""A key is taken when OpenAI takes it, and is shown to nobody else."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moat.config.paths import Home
from moat.config.settings import Upstream
from moat.errors import GrantError
from moat.providers.codex import key
from moat.providers.codex.account import Account
from moat.providers.codex.grant import Grant, has_credential
from moat.providers.codex.key import check_form, judge
from moat.providers.interface import GrantIO
from moat.vault.store import Store
from standin import Status
from support.cli import REAL_KEY
from support.standin import RunningStandIn

API = ("api.openai.com", 443)


def at(port: int, ca_file: Path | None) -> Upstream:
    return Upstream(ca_file=ca_file, connect_to=((API, ("127.0.0.1", port)),))


@pytest.fixture
def upstream(standin: RunningStandIn) -> Upstream:
    return at(standin.port, standin.ca_file)


NOBODY = Account({})
BOTH = {"organization": "org-1", "project": "proj_1"}


def acquire(upstream: Upstream, secret: str = REAL_KEY) -> str:
    io = GrantIO({"OPENAI_API_KEY": secret}, upstream, None)
    return Grant().execute(io).secret.reveal()


def refused(action: Callable[[], object]) -> GrantError:
    """The refusal of an action; that it does not hold the key is judged here for all of them."""
    with pytest.raises(GrantError) as caught:
        action()
    told = "".join(traceback.format_exception(caught.value)) + str(caught.value.hint)
    assert REAL_KEY not in told
    assert caught.value.hint
    return caught.value


# its form


@pytest.mark.parametrize("text", ["sk-1", " sk-1", "sk-1\n", "\tsk-1\r\n", "sk-proj-A_b-9~!"])
def test_a_key_is_taken_without_the_space_around(text: str) -> None:
    """What copying adds at the ends is taken off."""
    assert text.strip() == check_form(text)


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_no_key_is_told_as_that(text: str) -> None:
    """An empty answer is not called a key of the wrong form."""
    assert "is empty" in refused(lambda: check_form(text)).message


@pytest.mark.parametrize(
    "text",
    ["sk-", "key", "SK-1", "xsk-1", "sk-1 2", "sk-1\n2", "sk-1\x00", "sk-1\x7f", "sk-é", '"sk-1"',
     "sk-1\r\nX-Evil: 1", "Bearer sk-1", "pk-1"],
)  # fmt: skip
def test_what_cannot_be_a_key_is_not_sent(text: str) -> None:
    """A key starts with sk- and is one printable word; anything else could end up in a header."""
    error = refused(lambda: check_form(text))
    assert 'start with "sk-"' in error.message
    assert repr(text) not in error.message


# where it comes from


def test_the_environment_comes_first(upstream: Upstream) -> None:
    """A key in the environment is taken, said so, and nobody is asked."""

    def asked(_: str) -> str:
        raise AssertionError("asked")

    before = datetime.datetime.now(datetime.UTC)
    granted = Grant().acquire(GrantIO({"OPENAI_API_KEY": f" {REAL_KEY}\n"}, upstream, asked))
    assert REAL_KEY == granted.credential.secret.reveal()
    assert ("openai", "$OPENAI_API_KEY", ()) == (
        granted.credential.provider,
        granted.source,
        granted.warnings,
    )
    assert before <= granted.credential.created_at <= datetime.datetime.now(datetime.UTC)


@pytest.mark.parametrize("environ", [{}, {"OPENAI_API_KEY": ""}, {"OPENAI_API_KEY": " \n"}])
def test_a_person_is_asked(upstream: Upstream, environ: dict[str, str]) -> None:
    """Without one in the environment (one of nothing but space is none) the person is asked."""
    prompts = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return REAL_KEY

    granted = Grant().acquire(GrantIO(environ, upstream, ask))
    assert (REAL_KEY, "the prompt") == (granted.credential.secret.reveal(), granted.source)
    assert ["OpenAI API key (not shown): "] == prompts


def test_with_nobody_to_ask_the_variable_is_named(upstream: Upstream) -> None:
    """In a script there is no prompt, and the error says what to do instead."""
    error = refused(lambda: Grant().acquire(GrantIO({}, upstream, None)))
    assert "OPENAI_API_KEY=sk-… moat grant openai" in str(error.hint)


# what OpenAI says


@pytest.mark.parametrize(
    ("status", "body", "warning"),
    [
        (200, b"{}", None),
        (429, b"", "rate limit or quota"),
        (403, b'{"error": {"message": "Missing scopes: api.model.read"}}', "not fully checked"),
    ],
)
def test_a_good_key_is_taken(status: int, body: bytes, warning: str | None) -> None:
    """A key that is used up or restricted is good, and the person is told what is the matter."""
    warnings = judge(status, body, NOBODY)
    assert (warning is not None) == bool(warnings)
    assert warning is None or warning in warnings[0]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"{}", "rejected the key"),
        (401, b"Missing scopes: api.model.read", "rejected the key"),
        (403, b"{}", "refused the key"),
        (500, b"api.model.read", "answered 500"),
        (503, b"", "answered 503"),
        (302, b"", "answered 302"),
        (204, b"", "answered 204"),
        (404, b"", "answered 404"),
    ],
)
def test_a_key_that_is_not_known_to_be_good_is_not_taken(
    status: int, body: bytes, said: str
) -> None:
    """Rejected, forbidden, or no answer that means anything: each has its own words."""
    error = refused(lambda: judge(status, body, NOBODY))
    assert said in error.message
    assert str(status) in error.message


def test_openai_is_asked_with_the_key(standin: RunningStandIn, upstream: Upstream) -> None:
    """One request over verified TLS, with the key as a bearer token, and the key is taken."""
    assert REAL_KEY == acquire(upstream)
    (seen,) = standin.server.seen
    assert ("GET", "/v1/models", 200) == (seen.method, seen.path, seen.status)


def test_a_wrong_key_is_rejected(upstream: Upstream) -> None:
    """What OpenAI answers 401 to is not a key."""
    wrong = "sk-wrong-" + REAL_KEY
    assert "(401)" in refused(lambda: acquire(upstream, wrong)).message


@pytest.mark.parametrize("status", [429, 500])
def test_the_answer_decides(standin: RunningStandIn, upstream: Upstream, status: int) -> None:
    """429 is a good key with a warning; 500 says nothing about it."""
    standin.server.fault = Status(status)
    io = GrantIO({"OPENAI_API_KEY": REAL_KEY}, upstream, None)
    if status == 429:
        granted = Grant().acquire(io)
        assert (REAL_KEY, 1) == (granted.credential.secret.reveal(), len(granted.warnings))
    else:
        assert "answered 500" in refused(lambda: Grant().acquire(io)).message


# what stands between


def test_an_upstream_that_is_down_is_told() -> None:
    """Nobody listening is told as that, with the settings to look at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        error = refused(lambda: acquire(at(taken.getsockname()[1], None)))
    assert "api.openai.com cannot be reached: Connection refused" in error.message
    assert "config.yaml" in str(error.hint)


def test_an_unknown_certificate_is_told(standin: RunningStandIn) -> None:
    """Without the stand-in's root the key is not sent, and the certificate is named as cause."""
    error = refused(lambda: acquire(at(standin.port, None)))
    assert "the certificate of api.openai.com is not trusted" in error.message
    assert [] == standin.server.seen


def test_the_name_is_verified_not_where_was_dialled(
    standin: RunningStandIn, upstream: Upstream
) -> None:
    """`connect_to` changes the address alone: the certificate must be for the host asked for."""
    from moat.providers.http import HttpFailed, get_status

    other = Upstream(upstream.ca_file, ((("other.example", 443), ("127.0.0.1", standin.port)),))
    with pytest.raises(HttpFailed, match=r"other\.example"):
        get_status("other.example", "/", {}, upstream=other, timeout=5)
    assert [] == standin.server.seen


def test_a_silent_upstream_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes the connection and says nothing is given up after the limit."""
    monkeypatch.setattr(key, "VALIDATION_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused(lambda: acquire(at(silent.getsockname()[1], None)))
    assert "api.openai.com did not answer within" in error.message


class Canned:
    """A server with the stand-in's certificate that gives one answer, whatever it is asked."""

    def __init__(self, directory: Path, answer: bytes) -> None:
        from standin.certs import make_certificates

        directory.mkdir()
        certificate = make_certificates(directory, names=["api.openai.com"])
        self.context = certificate.server_context()
        self.ca_file = directory / "ca.pem"
        self.answer = answer
        self.pause = 0.0  # seconds after every byte
        self.asked: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self) -> None:
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(raw, server_side=True) as client:
                    client.settimeout(5)
                    request = client.recv(65536)
                    self.asked.append(request)
                    key = request.partition(b"Bearer ")[2].partition(b"\r")[0]
                    answer = self.answer.replace(b"KEY", key)
                    if self.pause:
                        for byte in answer:
                            client.sendall(bytes([byte]))
                            time.sleep(self.pause)
                    client.sendall(b"" if self.pause else answer)
            except (OSError, ssl.SSLError):
                pass

    def __enter__(self) -> Canned:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@pytest.fixture
def canned(tmp_path: Path) -> Iterator[Callable[[bytes], Canned]]:
    with contextlib.ExitStack() as stack:
        yield lambda answer: stack.enter_context(Canned(tmp_path / "canned", answer))


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def test_the_canned_server_can_say_yes(canned: Callable[[bytes], Canned]) -> None:
    """The twin of the refusals below: the same server, with a proper answer."""
    server = canned(OK)
    assert REAL_KEY == acquire(at(server.port, server.ca_file))


def test_a_server_that_drips_is_given_up(
    canned: Callable[[bytes], Canned], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is on the whole answer, not on each of its bytes."""
    monkeypatch.setattr(key, "VALIDATION_TIMEOUT", 1.0)
    server = canned(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400 + b"\r\n\r\n")
    server.pause = 0.02
    began = time.monotonic()
    error = refused(lambda: acquire(at(server.port, server.ca_file)))
    assert "api.openai.com did not answer within 1 s" in error.message
    assert time.monotonic() - began < 5


def test_what_is_not_the_api_does_not_say_yes(canned: Callable[[bytes], Canned]) -> None:
    """A gateway's page is no list of models, whatever its status."""
    server = canned(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>")
    error = refused(lambda: acquire(at(server.port, server.ca_file)))
    assert "what answered is not the OpenAI API" in error.message


def test_a_redirect_is_not_followed(canned: Callable[[bytes], Canned]) -> None:
    """The key goes nowhere else: a redirect is an answer like any other, and none we know."""
    server = canned(
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://api.openai.com/again\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    assert "answered 307" in refused(lambda: acquire(at(server.port, server.ca_file))).message
    assert 1 == len(server.asked)


@pytest.mark.parametrize(
    "answer",
    [
        b"KEY is what you sent\r\n\r\n",
        b"HTTP/1.1 KEY\r\n\r\n",
        b"HTTP/9.9 200 KEY\r\n\r\n",
        b"HTTP/1.1 500 KEY\r\nContent-Length: 99\r\n\r\nKEY",
        b"HTTP/1.1 401 KEY\r\nX-Key: KEY\r\nContent-Length: 3\r\n\r\nKEY",
        b"HTTP/1.1 200 OK\r\nX: " + b"KEY" * 30000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nKEY\r\n",
        b"",
    ],
)
def test_an_answer_that_repeats_the_key_does_not_show_it(
    canned: Callable[[bytes], Canned], answer: bytes
) -> None:
    """No answer, however broken, gets the key into an error; `refused` looks for it."""
    server = canned(answer)
    refused(lambda: acquire(at(server.port, server.ca_file)))


# what goes with it


def test_the_account_is_asked_about_and_kept(canned: Callable[[bytes], Canned]) -> None:
    """Organization and project are in the request that validates, and in the credential."""
    server = canned(OK)
    io = GrantIO({"OPENAI_API_KEY": REAL_KEY}, at(server.port, server.ca_file), None, options=BOTH)
    granted = Grant().acquire(io)
    assert (BOTH, ()) == (granted.credential.metadata, granted.warnings)
    (request,) = server.asked
    assert b"\r\nOpenAI-Organization: org-1\r\n" in request
    assert b"\r\nOpenAI-Project: proj_1\r\n" in request


def test_without_options_there_is_no_account(canned: Callable[[bytes], Canned]) -> None:
    """The twin: nothing is sent or kept, whatever the environment has for other programs."""
    server = canned(OK)
    environ = {"OPENAI_API_KEY": REAL_KEY, "OPENAI_ORGANIZATION": "org-1", "OPENAI_PROJECT": "p"}
    granted = Grant().acquire(GrantIO(environ, at(server.port, server.ca_file), None))
    assert {} == granted.credential.metadata
    assert b"openai-" not in server.asked[0].lower()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"organization": ""}, "no organization id"),
        ({"project": "proj 1"}, "no project id"),
        ({"project": "proj_1\r\nX-Evil: 1"}, "no project id"),
        ({"organization": "o" * 129}, "no organization id"),
        ({"organisation": "org-1"}, "no option --organisation"),
    ],
)
def test_an_account_that_cannot_be_is_refused(options: dict[str, str], said: str) -> None:
    """Before anybody is asked: an id is one word, and an option is known."""
    io = GrantIO({"OPENAI_API_KEY": REAL_KEY}, Upstream(), None, validate=False, options=options)
    assert said in refused(lambda: Grant().acquire(io)).message


@pytest.mark.parametrize(("given", "count"), [("org-A_b-9", 0), ("Acme", 1)])
def test_an_id_of_another_form_is_a_warning(given: str, count: int) -> None:
    """OpenAI may come to make other ids: their form is told of, and not relied on."""
    io = GrantIO(
        {"OPENAI_API_KEY": REAL_KEY},
        Upstream(),
        None,
        validate=False,
        options={"organization": given},
    )
    granted = Grant().acquire(io)
    assert {"organization": given} == granted.credential.metadata
    assert count == sum("ids begin with org-" in warning for warning in granted.warnings)


@pytest.mark.parametrize(
    ("account", "said"), [(Account(BOTH), "not go with --organization"), (NOBODY, "rejected")]
)
def test_a_key_of_another_account_is_told_as_that(account: Account, said: str) -> None:
    """With an account given, OpenAI may refuse the account and not the key."""
    body = b'{"error": {"code": "mismatched_organization"}}'
    assert said in refused(lambda: judge(401, body, account)).message


# not asking


def test_an_unvalidated_key_is_taken_with_a_warning(
    standin: RunningStandIn, upstream: Upstream
) -> None:
    """Where OpenAI must not be asked it is not, and the person is told so."""
    environ = {"OPENAI_API_KEY": "sk-wrong"}
    granted = Grant().acquire(GrantIO(environ, upstream, None, validate=False))
    assert "sk-wrong" == granted.credential.secret.reveal()
    assert "not validated" in granted.warnings[0]
    assert [] == standin.server.seen


def test_an_unvalidated_key_still_has_the_form_of_one() -> None:
    """The twin: what cannot be a key is refused all the same."""
    io = GrantIO({"OPENAI_API_KEY": "token"}, Upstream(), None, validate=False)
    assert 'start with "sk-"' in refused(lambda: Grant().acquire(io)).message


# by itself


def test_a_grant_finds_what_it_needs(
    tmp_path: Path, standin: RunningStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without being told how to ask: this environment, and the person's settings."""
    (tmp_path / "moat").mkdir(mode=0o700)
    config = tmp_path / "moat" / "config.yaml"
    config.write_text(
        f"upstream:\n  ca_file: {standin.ca_file}\n"
        f'  connect_to: {{"api.openai.com:443": "127.0.0.1:{standin.port}"}}\n'
    )
    config.chmod(0o600)
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "moat"))
    monkeypatch.setenv("OPENAI_API_KEY", REAL_KEY)
    assert REAL_KEY == Grant().execute().secret.reveal()
    assert 1 == len(standin.server.seen)


def test_a_prompt_that_ends_is_no_key() -> None:
    """Ctrl-D at the prompt is told as giving no key."""

    def ended(_: str) -> str:
        raise EOFError

    error = refused(lambda: Grant().acquire(GrantIO({}, Upstream(), ended)))
    assert "no key was given" == error.message


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home of Moat's with the grant in it."""
    home = Home(tmp_path / "moat")
    home.root.mkdir(mode=0o700)
    io = GrantIO({"OPENAI_API_KEY": REAL_KEY}, Upstream(), None, validate=False)
    Store(home.credentials).put(Grant().execute(io))
    return home


def test_a_stored_grant_is_a_credential(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the home that is given, or the one the environment names."""
    monkeypatch.delenv("MOAT_HOME", raising=False)
    monkeypatch.setenv("HOME", str(home.root))
    assert (True, False) == (has_credential(home), has_credential())
    monkeypatch.setenv("MOAT_HOME", str(home.root))
    assert has_credential()


def test_what_does_not_open_is_no_credential(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every error means no: open to others, sealed wrongly, not stored, no home at all."""
    home.credentials.chmod(0o755)
    assert not has_credential(home)
    home.credentials.chmod(0o700)
    assert has_credential(home)
    (sealed,) = home.credentials.glob("default/*.json")
    sealed.write_text("{}")
    assert not has_credential(home)
    sealed.unlink()
    assert not has_credential(home)
    monkeypatch.setenv("MOAT_HOME", "relative")
    assert not has_credential()


def test_asking_for_a_credential_makes_nothing(tmp_path: Path) -> None:
    """Whoever only asks gets no directories."""
    assert not has_credential(Home(tmp_path / "moat"))
    assert [] == list(tmp_path.iterdir())
