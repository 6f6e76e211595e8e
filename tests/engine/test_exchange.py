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
    Inform,
    Record,
    Refuse,
    Resolve,
    exchange,
)
from moat.engine.inject import Injection
from moat.engine.messages import Response
from moat.engine.patterns import PathPattern
from moat.engine.placeholder import Placeholder
from moat.engine.policy import Policy, Rule
from moat.engine.problem import Problem
from moat.engine.session import RunSession

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
    assert seen[2] == Forward(ask(headers=((b"Authorization", b"Bearer sk-1"),)), trailers=False)
    assert seen[3] == Deliver(OK)
    assert records(seen) == [("open", None, ("openai",)), ("forwarded", 200, ("openai",))]


def test_a_request_without_a_credential_goes_as_it_came() -> None:
    """Nothing bound, nothing resolved, nothing changed."""
    request = ask(headers=((b"Authorization", b"mine"), (b"X-A", b"1")))
    seen = play(exchange(request, session()), OK, None)
    assert seen[1] == Forward(request, trailers=False)
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
    assert seen[1] == Forward(ask(url), local=local, trailers=False)


def test_a_credential_is_taken_out_before_another_is_put_in() -> None:
    """What one injection strips, another may set: the order of the two does not matter."""
    pattern = HostPattern.parse("api.example")
    first = Injection("key", pattern, "X-Api-Key")
    second = Injection("token", pattern, "Authorization", "Bearer {}", strips=("X-Api-Key",))
    for order in ((first, second), (second, first)):
        replies = [Secret("key"), Secret("token")]  # by the names of their grants
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
    assert seen[2] == Forward(ask(headers=((b"Authorization", b"Bearer sk-1"),)), trailers=False)


def test_a_secret_shows_in_no_record_and_no_repr() -> None:
    """It leaves the generator in one command, which does not print it."""
    seen = play(exchange(ask(), session(BEARER)), KEY, OK, None)
    assert "sk-1" not in repr(seen)


# what a person decides


ASKING = RunSession("0123456789", Policy(mode="ask"), (BEARER,), "moat codex")


@pytest.mark.parametrize(
    ("answer", "commands", "outcome"),
    [
        (True, ["Ask", "Resolve", "Record", "Forward", "Deliver", "Record"], "forwarded"),
        (False, ["Ask", "Record", "Refuse"], "refused"),
    ],
)
def test_what_no_rule_speaks_of_is_asked(answer: bool, commands: list[str], outcome: str) -> None:
    """Before any secret; the record says who decided."""
    replies = (answer, KEY, OK, None) if answer else (answer, None)
    seen = play(exchange(ask(), ASKING), *replies)
    assert commands == names(seen)
    last = [each for each in seen if isinstance(each, Record)][-1].entry
    assert outcome == last.outcome
    assert last.verdict is not None
    assert ("allowed when asked" if answer else "ask by default") == last.verdict.rule_name


# placeholders that go astray


ASTRAY = RunSession(
    "0123456789",
    Policy(
        (
            Rule(HostPattern.parse("api.example"), "option"),
            Rule(HostPattern.parse("other.example"), "option"),
        )
    ),
    (BEARER,),
    "moat codex",
    (Placeholder("openai", "moat-placeholder-of-openai"),),
)
CARRIED = ((b"X-Note", b"the key is moat-placeholder-of-openai."),)


def test_a_placeholder_on_its_way_elsewhere_is_refused_with_an_alarm() -> None:
    """No secret is resolved, nothing is sent, and the record says what was tried."""
    seen = play(exchange(ask("https://other.example/", headers=CARRIED), ASTRAY), None)
    assert ["Record", "Refuse"] == names(seen)
    assert isinstance(seen[0], Record)
    assert isinstance(seen[1], Refuse)
    assert "placeholder-leak" == seen[1].problem.kind
    assert "openai" in (seen[0].entry.alarm or "")
    assert "moat-placeholder" not in repr(seen[0].entry)


def test_a_placeholder_to_a_refused_host_is_an_alarm_too() -> None:
    """And refused as such: the policy's refusal would say how to open the place."""
    seen = play(exchange(ask("https://evil.example/", headers=CARRIED), ASTRAY), None)
    assert isinstance(seen[0], Record)
    assert isinstance(seen[1], Refuse)
    assert ("placeholder-leak", True) == (seen[1].problem.kind, seen[0].entry.alarm is not None)


def test_a_placeholder_may_go_where_its_grant_is_for() -> None:
    """The twin."""
    seen = play(exchange(ask(headers=CARRIED), ASTRAY), KEY, OK, None)
    assert records(seen)[-1] == ("forwarded", 200, ("openai",))


def test_bodies_to_other_hosts_are_watched() -> None:
    """What goes where the grant is for, is not."""
    for url, watched in (("https://other.example/", 1), ("https://api.example/", 0)):
        request = ask(url)._replace(body=10)
        replies = (OK, None) if watched else (KEY, OK, None)
        (forward,) = [
            each for each in play(exchange(request, ASTRAY), *replies) if isinstance(each, Forward)
        ]
        assert watched == len(forward.through)


# echoes


LONG = Secret("sk-a-secret-that-is-long-enough")
ECHO = Response(200, ((b"X-You-Sent", b"Bearer sk-a-secret-that-is-long-enough"),), b"OK", body=5)


def test_an_answer_to_a_secret_is_cleaned() -> None:
    """Its head at once, its body on its way."""
    seen = play(exchange(ask(), session(BEARER)), LONG, ECHO, None)
    assert isinstance(seen[3], Deliver)
    assert b"sk-a" not in seen[3].response.headers[0][1]
    assert seen[3].cleaner is not None


def test_an_early_hint_is_cleaned_too() -> None:
    """A 1xx has a head like any other."""
    hint = ECHO._replace(status=103, body=0)
    seen = play(exchange(ask(), session(BEARER)), LONG, hint, ECHO, None)
    assert isinstance(seen[3], Inform)
    assert b"sk-a" not in seen[3].response.headers[0][1]


def test_a_host_that_got_a_secret_is_cleaned_wherever_else_it_answers() -> None:
    """What it was told at one path it can repeat at another, on another port, in the clear."""
    bound = Injection(
        "openai",
        HostPattern.parse("api.example"),
        "Authorization",
        path=PathPattern.parse("/v1/**"),
    )
    place = session(bound, allow=("api.example", "api.example:8443", "api.example:80"))
    for url in ("https://api.example/v2", "https://api.example:8443/", "http://api.example/"):
        seen = play(exchange(ask(url), place), LONG, ECHO, None)
        (deliver,) = [each for each in seen if isinstance(each, Deliver)]
        assert deliver.cleaner is not None
        assert b"sk-a" not in deliver.response.headers[0][1]
        (forward,) = [each for each in seen if isinstance(each, Forward)]
        assert () == forward.request.headers
        assert records(seen)[-1] == ("forwarded", 200, ())


def test_another_host_is_not_looked_through() -> None:
    """The twin: no secret, no work."""
    seen = play(exchange(ask("https://other.example/"), ASTRAY), ECHO, None)
    assert isinstance(seen[-2], Deliver)
    assert seen[-2].cleaner is None


def test_an_answer_that_cannot_be_looked_through_is_refused() -> None:
    """In a coding nobody knows a secret would pass unseen."""
    coded = ECHO._replace(headers=((b"Content-Encoding", b"rot13"),))
    seen = play(exchange(ask(), session(BEARER)), LONG, coded, None)
    assert ["Resolve", "Record", "Forward", "Record", "Refuse"] == names(seen)
    assert records(seen)[-1] == ("failed", 502, ("openai",))


def test_a_request_asks_for_nothing_that_cannot_be_looked_through() -> None:
    """No parts, no coding unknown here; elsewhere it asks as it likes."""
    wish = ((b"Range", b"bytes=0-5"), (b"Accept-Encoding", b"gzip, xz"))
    for url, kept in (("https://api.example/", False), ("https://other.example/", True)):
        replies = (OK, None) if kept else (LONG, OK, None)
        seen = play(exchange(ask(url, headers=wish), ASTRAY), *replies)
        (forward,) = [each for each in seen if isinstance(each, Forward)]
        assert kept == (wish[0] in forward.request.headers)
        assert kept == (wish[1] in forward.request.headers)


def test_a_question_nobody_waits_for_is_recorded() -> None:
    """The client has gone away meanwhile: what was asked stands in the trace all the same."""
    gone = ExchangeFailed(Problem(499, "client-gone", "the client went away"))
    seen = play(exchange(ask(), ASKING), gone, None)
    assert ["Ask", "Record", "Refuse"] == names(seen)
    assert [("refused", 499, ())] == records(seen)


def test_what_would_be_a_secret_in_small_letters_is_one() -> None:
    """HTTP/2 has all names in small letters."""
    small = Secret("0123456789abcdef-key")
    shouted = ECHO._replace(headers=((b"0123456789ABCDEF-KEY", b"y"),))
    seen = play(exchange(ask(), session(BEARER)), small, shouted, None)
    assert isinstance(seen[3], Deliver)
    assert b"0123456789abcdef" not in seen[3].response.headers[0][0].lower()


@pytest.mark.parametrize("name", [b"Content-Encoding", b"Grpc-Encoding"])
def test_our_own_words_repeat_nothing_of_an_answer(name: bytes) -> None:
    """A coding is a name a server can choose."""
    coded = ECHO._replace(headers=((name, b"SK-A-SECRET-THAT-IS-LONG-ENOUGH"),))
    seen = play(exchange(ask(), session(BEARER)), LONG, coded, None)
    assert isinstance(seen[-1], Refuse)
    assert "secret" not in seen[-1].problem.detail
