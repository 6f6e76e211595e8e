"""What waits is asked once a destination, and shows the request that an answer is about."""

from __future__ import annotations

import pytest

from moat.core.hosts import Destination
from moat.engine.messages import Request
from moat.run.deciding import MAX_QUESTIONS, MAX_WAITING, Decision, Waiting, shown


def to(place: str, target: str = "/", method: str = "GET") -> Request:
    scheme, _, authority = place.partition("://")
    return Request(method, Destination.parse(scheme, authority), target, ())  # type: ignore[arg-type]


def test_requests_to_one_destination_are_one_question() -> None:
    """It shows the oldest, and the next one once that waits no more, under a number of its own."""
    waiting = Waiting()
    first = waiting.add(to("https://a.test", "/one?token=123"))
    other = waiting.add(to("https://a.test:8443", "/"))
    second = waiting.add(to("https://a.test", "/two", "POST"))
    assert first is not None

    asked = waiting.questions()
    assert [first, other] == [question.id for question in asked]
    assert ("GET", "https://a.test/one?token=***", 2) == (
        asked[0].method,
        asked[0].url,
        asked[0].waiting,
    )
    assert ["a.test", "a.test:8443"] == [question.host for question in asked]

    waiting.discard(first)
    (renewed,) = (q for q in waiting.questions() if q.destination.port == 443)
    assert (second, "POST", 1) == (renewed.id, renewed.method, renewed.waiting)


def test_scheme_and_port_are_part_of_it() -> None:
    """The same name in the clear is another question."""
    waiting = Waiting()
    waiting.add(to("https://a.test"))
    waiting.add(to("http://a.test"))
    assert ["https://a.test", "http://a.test"] == [str(q.destination) for q in waiting.questions()]
    assert ["a.test", "a.test:80"] == [q.host for q in waiting.questions()]


def test_nobody_is_buried_in_questions() -> None:
    """So many destinations, so many requests; beyond, a request does not even wait."""
    waiting = Waiting()
    for number in range(MAX_QUESTIONS):
        assert waiting.add(to(f"https://h{number}.test")) is not None
    assert waiting.add(to("https://one-more.test")) is None
    for _ in range(MAX_WAITING - MAX_QUESTIONS):
        assert waiting.add(to("https://h0.test")) is not None
    assert waiting.add(to("https://h0.test")) is None
    assert MAX_QUESTIONS == len(waiting.questions())


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("https://localhost:8080", True),
        ("http://127.0.0.1:80", True),
        ("https://[::1]", True),
        ("http://169.254.169.254", True),
        ("https://192.168.0.1", True),
        ("https://1.1.1.1", False),
        ("https://localhost.test", False),
    ],
)
def test_what_is_inside_is_said(host: str, inside: bool) -> None:
    """A service of this machine or network is told from a host of the internet."""
    waiting = Waiting()
    waiting.add(to(host))
    assert inside == waiting.questions()[0].is_inside


def test_an_answer_is_about_this_port_alone() -> None:
    """Also a refusal, which without a port would be about all."""
    waiting = Waiting()
    waiting.add(to("https://a.test"))
    rule = waiting.questions()[0].decision("deny", "run", "me").rules[0]
    assert rule.covers(Destination("https", "a.test", 443))
    assert not rule.covers(Destination("https", "a.test", 8443))
    typed = Decision.about("a.test", "deny", "run", "me").rules[0]
    assert typed.covers(Destination("https", "a.test", 8443))


def test_a_permission_is_for_one_request() -> None:
    """Whichever comes first that it means; it is gone then."""
    waiting = Waiting()
    waiting.permit_once(Decision.about("*.a.test", "allow", "once", "me"))
    assert waiting.use_permission(to("https://a.test")) is None
    assert waiting.use_permission(to("http://x.a.test:443")) is None
    assert waiting.use_permission(to("https://x.a.test")) is not None
    assert waiting.use_permission(to("https://x.a.test")) is None
    assert 0 == waiting.permissions


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "a\nb", "\u202egpj", "\u0430.test", "x" * 300, "é" * 99, "\x9b2J"]
)
def test_what_an_agent_writes_is_shown_harmless(text: str) -> None:
    """One line of printable ASCII, and no more than fits."""
    safe = shown(text, limit=200)
    assert safe.isascii()
    assert safe.isprintable()
    assert 0 < len(safe) <= 200
