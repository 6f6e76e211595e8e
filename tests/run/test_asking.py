"""Requests wait, and are let go by exactly what was decided; every decision is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moat.engine.policy import Mode
from moat.engine.rules import PathRule
from moat.errors import MoatError, RecordError
from moat.run.deciding import MAX_ONCE, Decision
from run.asked import Run, play, settled


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Run]:
    def made(*rules: str, **options: Any) -> Run:
        return Run(tmp_path / "decisions.jsonl", *rules, **options)

    return made


Make = Callable[..., Run]


def test_once_lets_the_request_go_that_was_shown(make: Make) -> None:
    """And not the one behind it, which is the next question."""

    async def story() -> None:
        run = make()
        first, second = run.starts("a.test", "/one"), run.starts("a.test", "/two")
        await settled()
        (question,) = run.asker.questions()
        run.asker.answer(question.id, "allow", "once", "me")
        assert [True, None] == await settled(first, second)
        (renewed,) = run.asker.questions()
        assert "https://a.test/two" == renewed.url
        with pytest.raises(MoatError, match=f"no question {question.id} now"):
            run.asker.answer(question.id, "allow", "once", "me")
        run.asker.answer(renewed.id, "deny", "once", "me")
        assert [False] == await settled(second)
        assert [
            ("allow", "GET https://a.test", "once", "me"),
            ("deny", "https://a.test", "once", "me"),
        ] == run.written()
        assert () == run.session.policy.rules

    play(story)


def test_no_refuses_all_that_wait_for_the_destination(make: Make) -> None:
    """And nothing else, and nothing later."""

    async def story() -> None:
        run = make()
        tasks = run.starts("a.test"), run.starts("a.test"), run.starts("b.test")
        await settled()
        run.asker.answer(run.asker.questions()[0].id, "deny", "once", "me")
        assert [False, False, None] == await settled(*tasks)
        again = run.starts("a.test")
        assert [None] == await settled(again)
        for task in (tasks[2], again):
            task.cancel()

    play(story)


@pytest.mark.parametrize("extent", ["run", "always"])
@pytest.mark.parametrize("action", ["allow", "deny"])
def test_for_the_run_is_a_rule(make: Make, action: str, extent: str) -> None:
    """The session is replaced; all that waited and is meant is settled, and later ones are too."""

    async def story() -> None:
        run = make()
        before = run.session
        tasks = run.starts("a.test"), run.starts("a.test"), run.starts("a.test:8443")
        await settled()
        run.asker.answer(run.asker.questions()[0].id, action, extent, "me")  # type: ignore[arg-type]
        allowed = action == "allow"
        assert [allowed, allowed, None] == await settled(*tasks)
        assert allowed == await run.decide("a.test")
        assert () == before.policy.rules
        assert [run.session.policy] == run.enforced
        host = "a.test" if allowed else "a.test:443"
        assert [(action, host, extent, "me")] == run.written()
        tasks[2].cancel()

    play(story)


def test_what_was_said_last_holds(make: Make) -> None:
    """Allowed, denied, allowed again; it comes before every rule there was."""

    async def story() -> None:
        run = make("deny x.a.test", "allow y.a.test", mode="strict")
        assert not await run.decide("x.a.test")
        run.do("allow", "x.a.test")
        assert await run.decide("x.a.test")
        run.do("deny", "*.a.test")
        assert [False, False] == [await run.decide("x.a.test"), await run.decide("y.a.test")]
        run.do("allow", "y.a.test")
        assert [False, True] == [await run.decide("x.a.test"), await run.decide("y.a.test")]
        await settled()
        assert 3 == len(run.enforced)

    play(story)


def test_who_waits_is_answered_before_anything_is_cut(make: Make) -> None:
    """What is denied while it waits gets its refusal, and is not ended as if it went on."""

    async def story() -> None:
        run = make()
        order: list[str] = []

        async def waits() -> None:
            await run.decide("a.test")
            order.append("answered")

        run.asker._enforce = lambda: order.append("enforced")
        waiting = asyncio.create_task(waits())
        await settled()
        assert 1 == run.do("deny", "a.test")
        await waiting
        await settled()
        assert ["answered", "enforced"] == order

    play(story)


def test_without_an_answer_it_is_refused(make: Make) -> None:
    """In time, and that is written down."""

    async def story() -> None:
        run = make(timeout=0.05)
        assert not await run.decide("a.test", method="POST")
        assert [("deny", "POST https://a.test", "once", "no answer within 0.05 s")] == run.written()
        assert () == run.asker.questions()

    play(story)


def test_who_goes_away_is_asked_about_no_more(make: Make) -> None:
    """A client that hangs up takes its question along."""

    async def story() -> None:
        run = make()
        task = run.starts("a.test")
        await settled()
        assert 1 == len(run.asker.questions())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert () == run.asker.questions()
        assert 0 == run.do("allow", "a.test")

    play(story)


def test_watchers_hear_of_every_change(make: Make) -> None:
    """When one comes, and when one goes."""

    async def story() -> None:
        run = make()
        seen: list[int] = []
        run.asker.watch(lambda: seen.append(len(run.asker.questions())))
        task = run.starts("a.test")
        await settled()
        run.do("allow", "a.test")
        await settled(task)
        assert [1, 0] == seen

    play(story)


def test_the_rest_can_be_refused(make: Make) -> None:
    """Nothing is asked any more; rules still count, and new ones can be made."""

    async def story() -> None:
        run = make()
        tasks = run.starts("a.test"), run.starts("b.test")
        await settled()
        run.asker.refuse_the_rest("me")
        assert [False, False] == await settled(*tasks)
        assert not await run.decide("c.test")
        run.do("allow", "c.test")
        assert await run.decide("c.test")

    play(story)


# permissions for one request


@pytest.mark.parametrize("mode", ["strict", "ask"])
def test_the_next_request_can_be_let_through(make: Make, mode: Mode) -> None:
    """One that is meant, once; where nobody is asked, others are refused as before."""

    async def story() -> None:
        run = make(mode=mode)
        assert not run.asker.allow_once(Decision.about("a.test", "allow", "once", "me"))
        other = run.starts("b.test")
        assert [None if mode == "ask" else False] == await settled(other)
        assert await run.decide("a.test")
        again = run.starts("a.test")
        assert [None if mode == "ask" else False] == await settled(again)
        assert mode == run.session.policy.mode
        for task in (other, again):
            task.cancel()
        assert [
            ("allow", "a.test", "once", "me"),
            ("allow", "GET https://a.test", "once", "moat allow a.test --once"),
        ] == run.written()[:2]

    play(story)


def test_while_one_is_let_through_others_are_denied_as_ever(make: Make) -> None:
    """Their refusal speaks of the policy there is, and nothing of it was asked."""

    async def story() -> None:
        run = make(mode="strict")
        run.asker.allow_once(Decision.about("a.test", "allow", "once", "me"))
        for _ in range(2):
            other = run.verdict("b.test")
            assert ("deny", "deny by default") == (other.action, other.rule_name)
        assert "ask" == run.verdict("a.test").action
        assert await run.decide("a.test")
        assert "deny by default" == run.verdict("a.test").rule_name

    play(story)


def test_some_requests_are_allowed_and_denied(make: Make) -> None:
    """What waits and is meant is settled; the rest of the host is as it was."""

    async def story() -> None:
        run = make("allow a.test")
        run.do("deny", "a.test", line="DELETE /**")
        assert [False, True] == [
            await run.decide("a.test", "/x", "DELETE"),
            await run.decide("a.test", "/x", "GET"),
        ]
        run.do("allow", "a.test", line="DELETE /mine/*")
        assert await run.decide("a.test", "/mine/x", "DELETE")
        assert not await run.decide("a.test", "/x", "DELETE")
        waits = run.starts("b.test", "/x"), run.starts("c.test", "/x")
        await settled()
        assert 1 == run.do("allow", "b.test", line="GET /x")
        assert [True, None] == await settled(*waits)
        waits[1].cancel()
        assert [
            ("deny", "a.test DELETE /**", "run", "me"),
            ("allow", "a.test DELETE /mine/*", "run", "me"),
            ("allow", "b.test GET /x", "run", "me"),
        ] == run.written()

    play(story)


def test_a_denial_of_requests_is_for_every_port(make: Make) -> None:
    """As one of a host is; with a port, for that one."""

    async def story() -> None:
        run = make("allow a.test", "allow a.test:8443", mode="strict")
        run.do("deny", "a.test:443", line="GET /x")
        assert [False, True] == [await run.decide(f"a.test{p}", "/x") for p in ("", ":8443")]
        run.do("deny", "a.test", line="GET /y")
        assert [False, False] == [await run.decide(f"a.test{p}", "/y") for p in ("", ":8443")]
        assert [True, True] == [await run.decide(f"a.test{p}", "/z") for p in ("", ":8443")]

    play(story)


def test_a_line_that_would_change_nothing_is_refused(make: Make) -> None:
    """And nothing is written down."""

    async def story() -> None:
        run = make("allow a.test", mode="strict")
        with pytest.raises(MoatError, match="is allowed already"):
            run.do("allow", "a.test", line="GET /x")
        with pytest.raises(MoatError, match=r"nothing is allowed at b\.test") as caught:
            run.do("deny", "b.test", line="GET /x")
        assert "to deny all of it: moat deny b.test" == caught.value.hint
        assert ([], ["a.test"]) == (run.written(), [r.pattern.host for r in run.rules])

    play(story)


def test_one_request_of_some_can_be_let_through(make: Make) -> None:
    """The next that the line speaks of, or the oldest that waits."""

    async def story() -> None:
        run = make(mode="strict")
        once = Decision.about("a.test", "allow", "once", "me", PathRule.parse("allow GET /x"))
        assert not run.asker.allow_once(once)
        assert not await run.decide("a.test", "/y")
        assert await run.decide("a.test", "/x")
        assert not await run.decide("a.test", "/x")
        assert "moat allow a.test GET /x --once" == run.written()[-1][-1]
        run = make("allow b.test", mode="strict")
        run.do("deny", "b.test", line="PUT /**")
        put = Decision.about("b.test", "allow", "once", "me", PathRule.parse("allow PUT /x"))
        with pytest.raises(MoatError, match="a rule decides about its paths, every time") as caught:
            run.asker.allow_once(put)
        assert "moat allow b.test PUT /x" in str(caught.value.hint)

    play(story)


def test_what_waits_and_is_meant_is_refused_once(make: Make) -> None:
    """Of a host, the requests that the line speaks of."""

    async def story() -> None:
        run = make()
        waits = run.starts("a.test", "/x"), run.starts("a.test", "/y")
        await settled()
        line = PathRule.parse("deny GET /X/")
        assert 1 == run.asker.deny_once(Decision.about("a.test", "deny", "once", "me", line))
        assert [False, None] == await settled(*waits)
        waits[1].cancel()

    play(story)


def test_the_one_that_waits_is_let_through_first(make: Make) -> None:
    """The oldest; nothing is left over for a later one."""

    async def story() -> None:
        run = make()
        first, second = run.starts("x.a.test", "/one"), run.starts("x.a.test", "/two")
        await settled()
        assert run.asker.allow_once(Decision.about("*.a.test", "allow", "once", "me"))
        assert [True, None] == await settled(first, second)
        second.cancel()

    play(story)


def test_a_permission_that_would_change_nothing_is_refused(make: Make) -> None:
    """What is allowed already, and what a rule denies however often."""

    async def story() -> None:
        run = make("allow a.test", "deny b.test", mode="strict")
        with pytest.raises(MoatError, match="allowed already"):
            run.asker.allow_once(Decision.about("a.test", "allow", "once", "me"))
        with pytest.raises(MoatError, match="denies it, every time") as caught:
            run.asker.allow_once(Decision.about("b.test", "allow", "once", "me"))
        assert "moat allow b.test" in str(caught.value.hint)
        assert "strict" == run.session.policy.mode
        assert [] == run.written()

    play(story)


def test_permissions_are_bounded(make: Make) -> None:
    """So many may wait to be used."""

    async def story() -> None:
        run = make()
        decision = Decision.about("a.test", "allow", "once", "me")
        for _ in range(MAX_ONCE):
            run.asker.allow_once(decision)
        with pytest.raises(MoatError, match="too many"):
            run.asker.allow_once(decision)
        assert MAX_ONCE == len(run.written())

    play(story)


def test_once_refuses_what_waits(make: Make) -> None:
    """All that is meant; where nothing is, that is said."""

    async def story() -> None:
        run = make()
        decision = Decision.about("a.test", "deny", "once", "me")
        with pytest.raises(MoatError, match=r"nothing waits for a\.test"):
            run.asker.deny_once(decision)
        tasks = run.starts("a.test"), run.starts("a.test:8443"), run.starts("b.test")
        await settled()
        assert 2 == run.asker.deny_once(decision)
        assert [False, False, None] == await settled(*tasks)
        tasks[2].cancel()

    play(story)


# what cannot be written down


def test_what_cannot_be_written_down_is_not_allowed(make: Make) -> None:
    """By no way there is; to refuse it is possible all the same."""

    async def story() -> None:
        run = make()
        run.asker.allow_once(Decision.about("early.test", "allow", "once", "me"))
        run.file.unlink()
        run.file.mkdir()
        tasks = run.starts("a.test"), run.starts("b.test")
        await settled()
        number = run.asker.questions()[0].id
        with pytest.raises(RecordError):
            run.asker.answer(number, "allow", "once", "me")
        with pytest.raises(RecordError):
            run.asker.answer(number, "allow", "run", "me")
        with pytest.raises(RecordError):
            run.do("allow", "a.test")
        with pytest.raises(RecordError):
            run.asker.allow_once(Decision.about("c.test", "allow", "once", "me"))
        assert not await run.decide("early.test")
        assert [None, None] == await settled(*tasks)
        assert () == run.session.policy.rules
        run.asker.answer(number, "deny", "once", "me")
        run.do("deny", "b.test")
        assert [False, False] == await settled(*tasks)

    play(story)
