"""One exchange as a conversation."""

from __future__ import annotations

import pytest

from engine.play import BEARER, KEY, RecordFails, ask, play, session
from moat.core.hosts import HostPattern
from moat.core.secret import Secret
from moat.engine.exchange import (
    Deliver,
    ExchangeFailed,
    Forward,
    Record,
    Refuse,
    Resolve,
    exchange,
)
from moat.engine.inject import Injection
from moat.engine.messages import Response
from moat.engine.problem import Problem

OK = Response(200)
NOT_RECORDED = ExchangeFailed(Problem(503, "not-recorded", "the disk is full"))
UNREACHABLE = ExchangeFailed(Problem(502, "upstream-unreachable", "nobody there"))
LATE = ExchangeFailed(Problem(502, "upstream-closed", "closed"), sent=True)
CUT = ExchangeFailed(Problem(502, "upstream-cut", "cut"), sent=True, delivered=True)


def names(commands: list[object]) -> list[str]:
    return [type(command).__name__ for command in commands]


def records(commands: list[object]) -> list[tuple[str, int | None, tuple[str, ...]]]:
    return [
        (each.entry.outcome, each.entry.status, each.entry.grants)
        for each in commands
        if isinstance(each, Record)
    ]


def test_an_allowed_request_goes_all_the_way() -> None:
    """Resolve, record, forward with the credential, deliver, record."""
    seen = play(exchange(ask(), session(BEARER)), KEY, OK, None)
    assert names(seen) == ["Resolve", "Record", "Forward", "Deliver", "Record"]
    assert seen[0] == Resolve("openai")
    assert seen[2] == Forward(ask(headers=((b"Authorization", b"Bearer sk-1"),)))
    assert seen[3] == Deliver(OK)
    assert records(seen) == [("open", None, ("openai",)), ("forwarded", 200, ("openai",))]


def test_a_request_without_a_credential_goes_as_it_came() -> None:
    """Nothing bound, nothing resolved, nothing changed."""
    request = ask(headers=((b"Authorization", b"mine"), (b"X-A", b"1")))
    seen = play(exchange(request, session()), OK, None)
    assert seen[1] == Forward(request)
    assert records(seen) == [("open", None, ()), ("forwarded", 200, ())]


@pytest.mark.parametrize(
    "url", ["https://evil.example/", "https://api.example:8443/", "http://api.example/"]
)
def test_a_refused_request_resolves_nothing_and_forwards_nothing(url: str) -> None:
    """Policy comes first: a record and a refusal is all there is."""
    seen = play(exchange(ask(url), session(BEARER)), None)
    assert names(seen) == ["Record", "Refuse"]
    assert records(seen) == [("refused", 403, ())]
    assert isinstance(seen[1], Refuse)
    assert seen[1].problem.kind == "refused-by-policy"


def test_what_cannot_be_recorded_is_not_forwarded() -> None:
    """A record that fails turns into a refusal, before anything has gone out."""
    seen = play(
        exchange(ask(), session(BEARER)),
        KEY,
        RecordFails(NOT_RECORDED),
        RecordFails(NOT_RECORDED),
        None,
    )
    assert names(seen) == ["Resolve", "Record", "Record", "Refuse"]
    assert seen[-1] == Refuse(NOT_RECORDED.problem)


def test_a_refusal_that_cannot_be_recorded_stays_one() -> None:
    """The client reads that nothing could be recorded."""
    seen = play(exchange(ask("https://evil.example/"), session()), RecordFails(NOT_RECORDED), None)
    assert names(seen) == ["Record", "Refuse"]
    assert seen[-1] == Refuse(NOT_RECORDED.problem)


def test_the_last_record_failing_ends_the_exchange() -> None:
    """The answer is out already; the failure reaches whoever plays."""
    conversation = exchange(ask(), session())
    commands = [next(conversation), conversation.send(None), conversation.send(OK)]
    commands.append(conversation.send(None))
    assert names(commands) == ["Record", "Forward", "Deliver", "Record"]
    with pytest.raises(ExchangeFailed):
        conversation.throw(NOT_RECORDED)


def test_a_credential_that_cannot_be_resolved_refuses() -> None:
    """Nothing is forwarded, and no grant is said to have been used."""
    failure = ExchangeFailed(Problem(502, "no-credential", "grant it first"))
    seen = play(exchange(ask(), session(BEARER)), failure, None)
    assert names(seen) == ["Resolve", "Record", "Refuse"]
    assert records(seen) == [("failed", 502, ())]


@pytest.mark.parametrize("value", ["", "sk\r\nX-Evil: 1", "sk\n", "sk\0", "sk-ü", "sk\u20ac", "\t"])
def test_a_secret_that_would_change_the_head_is_not_put_in(value: str) -> None:
    """An unfit secret refuses the request, and is not shown."""
    seen = play(exchange(ask(), session(BEARER)), Secret(value), None)
    assert names(seen) == ["Resolve", "Record", "Refuse"]
    assert isinstance(seen[-1], Refuse)
    assert seen[-1].problem.status == 502
    assert not value.strip() or value not in seen[-1].problem.body().decode()


def test_an_upstream_that_cannot_be_reached_refuses() -> None:
    """Nothing went out, so no credential was on the wire."""
    seen = play(exchange(ask(), session(BEARER)), KEY, UNREACHABLE, None)
    assert names(seen) == ["Resolve", "Record", "Forward", "Record", "Refuse"]
    assert records(seen)[-1] == ("failed", 502, ())
    assert seen[-1] == Refuse(UNREACHABLE.problem)


def test_a_failure_after_sending_names_the_credential() -> None:
    """The record says what was on the wire, also when no answer came."""
    seen = play(exchange(ask(), session(BEARER)), KEY, LATE, None)
    assert names(seen) == ["Resolve", "Record", "Forward", "Record", "Refuse"]
    assert records(seen)[-1] == ("failed", 502, ("openai",))


def test_a_cut_while_delivering_is_recorded_and_not_answered_twice() -> None:
    """Once the head is out, no problem document may follow it."""
    seen = play(exchange(ask(), session(BEARER)), KEY, OK, CUT)
    assert names(seen) == ["Resolve", "Record", "Forward", "Deliver", "Record"]
    assert records(seen)[-1] == ("failed", 200, ("openai",))


@pytest.mark.parametrize("method", ["TRACE", "trace", "TRACK"])
def test_a_method_that_echoes_is_refused_where_a_credential_goes(method: str) -> None:
    """The answer to TRACE is the request with the credential in it."""
    seen = play(exchange(ask(method=method), session(BEARER)), None)
    assert names(seen) == ["Record", "Refuse"]
    assert records(seen) == [("refused", 405, ())]


def test_a_method_that_echoes_may_go_where_no_credential_goes() -> None:
    """The twin: with nothing to echo, TRACE is a method like any other."""
    seen = play(exchange(ask(method="TRACE"), session()), OK, None)
    assert names(seen) == ["Record", "Forward", "Deliver", "Record"]


@pytest.mark.parametrize(
    ("local", "allow", "url"),
    [
        (False, "api.example", "https://api.example/"),
        (False, "*.api.example", "https://a.api.example/"),
        (True, "localhost", "https://localhost/"),
        (True, "10.0.0.5:80", "http://10.0.0.5/"),
    ],
)
def test_only_a_rule_for_a_local_service_permits_a_private_address(
    local: bool, allow: str, url: str
) -> None:
    """The deciding rule says what was meant."""
    seen = play(exchange(ask(url), session(allow=(allow,))), OK, None)
    assert seen[1] == Forward(ask(url), local=local)


def test_a_credential_is_taken_out_before_another_is_put_in() -> None:
    """What one injection strips, another may set: the order of the two does not matter."""
    pattern = HostPattern.parse("api.example")
    first = Injection("key", pattern, "X-Api-Key")
    second = Injection("token", pattern, "Authorization", "Bearer {}", strips=("X-Api-Key",))
    for order in ((first, second), (second, first)):
        replies = [Secret(item.grant) for item in order]
        request = ask(headers=((b"x-api-key", b"mine"),))
        seen = play(exchange(request, session(*order)), *replies, OK, None)
        forward = seen[3]
        assert isinstance(forward, Forward)
        assert {(b"X-Api-Key", b"key"), (b"Authorization", b"Bearer token")} == set(
            forward.request.headers
        )
        assert records(seen)[-1] == ("forwarded", 200, ("key", "token"))


def test_what_the_client_brought_is_taken_out() -> None:
    """A request to a bound destination carries the run's credential or none."""
    injection = Injection("openai", BEARER.pattern, "Authorization", "Bearer {}", ("X-Api-Key",))
    brought = ((b"AUTHORIZATION", b"a"), (b"authorization", b"b"), (b"x-api-key", b"c"))
    seen = play(exchange(ask(headers=brought), session(injection)), KEY, OK, None)
    assert seen[2] == Forward(ask(headers=((b"Authorization", b"Bearer sk-1"),)))


def test_a_secret_shows_in_no_record_and_no_repr() -> None:
    """It leaves the generator in one command, which does not print it."""
    seen = play(exchange(ask(), session(BEARER)), KEY, OK, None)
    assert "sk-1" not in repr(seen)
