"""A key is taken when OpenAI takes it, and is shown to nobody else."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moat.config.settings import Upstream
from moat.errors import GrantError
from moat.providers.codex import key
from moat.providers.codex.key import acquire_key, check_form, judge
from moat.providers.interface import GrantIO
from standin import Status
from support.cli import REAL_KEY
from support.standin import RunningStandIn

API = ("api.openai.com", 443)


def at(port: int, ca_file: Path | None) -> Upstream:
    return Upstream(ca_file=ca_file, connect_to=((API, ("127.0.0.1", port)),))


@pytest.fixture
def upstream(standin: RunningStandIn) -> Upstream:
    return at(standin.port, standin.ca_file)


def acquire(upstream: Upstream, secret: str = REAL_KEY) -> str:
    granted = acquire_key(GrantIO({"OPENAI_API_KEY": secret}, upstream, None))
    return granted.credential.secret.reveal()


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
    granted = acquire_key(GrantIO({"OPENAI_API_KEY": f" {REAL_KEY}\n"}, upstream, asked))
    assert REAL_KEY == granted.credential.secret.reveal()
    assert ("openai", "$OPENAI_API_KEY", ()) == (
        granted.credential.provider,
        granted.source,
        granted.warnings,
    )
    assert before <= granted.credential.created_at <= datetime.datetime.now(datetime.UTC)


@pytest.mark.parametrize("environ", [{}, {"OPENAI_API_KEY": ""}])
def test_a_person_is_asked(upstream: Upstream, environ: dict[str, str]) -> None:
    """Without one in the environment (an empty one is none) the person is asked."""
    prompts = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return REAL_KEY

    granted = acquire_key(GrantIO(environ, upstream, ask))
    assert (REAL_KEY, "the prompt") == (granted.credential.secret.reveal(), granted.source)
    assert ["OpenAI API key (not shown): "] == prompts


def test_with_nobody_to_ask_the_variable_is_named(upstream: Upstream) -> None:
    """In a script there is no prompt, and the error says what to do instead."""
    error = refused(lambda: acquire_key(GrantIO({}, upstream, None)))
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
    warnings = judge(status, body)
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
    error = refused(lambda: judge(status, body))
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
        granted = acquire_key(io)
        assert (REAL_KEY, 1) == (granted.credential.secret.reveal(), len(granted.warnings))
    else:
        assert "answered 500" in refused(lambda: acquire_key(io)).message


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
                    client.sendall(self.answer.replace(b"KEY", key))
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
