"""Requests that wait until somebody decides, for a while; and decisions, taken while a run lives.

It knows of no box and no terminal: whoever wants to put the questions looks at `questions`, is
told by `watch` when they have changed, and calls `answer`.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from dataclasses import replace

from moat import log
from moat.core.hosts import Destination
from moat.engine.messages import Request
from moat.engine.policy import Policy, Verdict
from moat.engine.rules import Action
from moat.errors import MoatError, RecordError
from moat.proxy.interface import Handed
from moat.run.deciding import (
    MAX_ONCE,
    Decision,
    Extent,
    OncePolicy,
    Question,
    Waiting,
    shown,
)
from moat.run.decisions import Decisions

# Seconds a request waits for an answer, after which it is refused.
ASK_TIMEOUT = 120.0


class Asker:
    """Decides what the policy leaves open, and changes the policy.

    `handed.session` is replaced by every decision that holds for the run, and `enforce` called
    after it: what goes on that is no longer allowed must end.
    """

    def __init__(
        self,
        handed: Handed,
        decisions: Decisions,
        *,
        timeout: float = ASK_TIMEOUT,
        enforce: Callable[[], None],
    ) -> None:
        self.timeout = timeout
        self._handed = handed
        self._decisions = decisions
        self._enforce = enforce
        self._waiting = Waiting()
        self._answers: dict[int, asyncio.Future[bool]] = {}
        self._watchers: list[Callable[[], None]] = []
        # Where nobody is to be asked, what waits for its one request is all that is let through.
        self._mode = handed.session.policy.mode
        self._asks = self._mode == "ask"

    # for the proxy

    async def ask(self, request: Request, verdict: Verdict) -> bool:  # noqa: ARG002  # a Protocol's
        """Whether a request may go that the policy leaves open: wait until somebody has said."""
        if permission := self._waiting.use_permission(request):
            self._set_policy(self._handed.session.policy)
            return self._may_go(request, f"moat allow {permission.words} --once")
        number = self._waiting.add(request) if self._asks else None
        if number is None:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._tell()
        try:
            async with asyncio.timeout(self.timeout):
                return await answer
        except TimeoutError:
            self._write("deny", _named(request), "once", f"no answer within {self.timeout:g} s")
            return False
        finally:
            self._waiting.discard(number)
            self._answers.pop(number, None)
            self._tell()

    def _may_go(self, request: Request, by: str) -> bool:
        try:
            self._write("allow", _named(request), "once", by)
        except RecordError as error:
            log.get(__name__).error("%s", error)
            return False
        return True

    # for those who put the questions

    def watch(self, changed: Callable[[], None]) -> None:
        """Have a function called whenever the questions have changed."""
        self._watchers.append(changed)

    def questions(self) -> tuple[Question, ...]:
        """What there is to ask, the oldest first."""
        return self._waiting.questions()

    def answer(self, number: int, action: Action, extent: Extent, by: str) -> Question:
        """Answer a question; the question it was. Raises MoatError if it is asked no more."""
        question = next((item for item in self.questions() if item.id == number), None)
        if question is None:
            raise MoatError(
                f"there is no question {number} now", hint="see what waits: moat approve"
            )
        if extent != "once":
            self.decide(question.decision(action, extent, by))
        elif action == "allow":
            self._let_go(number, by)
        else:
            # Who says no means what they saw: this destination, now.
            for other, request in self._waiting.requests():
                if request.destination == question.destination:
                    self._settle(other, may_go=False)
            self._write("deny", str(question.destination), "once", by)
        return question

    def refuse_the_rest(self, by: str) -> None:
        """Refuse what waits, and from now on ask nothing more in this run."""
        self._asks = False
        for number, _ in self._waiting.requests():
            self._settle(number, may_go=False)
        self._write("deny", "whatever would be asked", "run", by)

    # for those who decide without being asked

    def decide(self, decision: Decision) -> int:
        """Change the policy of the run; how many waiting requests that has settled.

        Raises RecordError for a permission that cannot be written down, MoatError for what would
        change nothing.
        """
        before = self._handed.session.policy
        rules = decision.rules_before(before.rules, self._mode)
        if not rules:
            raise _changes_nothing(decision)
        self._write_decision(decision)
        policy = Policy(before.rules, self._mode)
        for rule in reversed(rules):
            policy = policy.with_rule(rule)
        self._set_policy(policy)
        settled = 0
        for number, request in self._waiting.requests():
            verdict = policy.decide(request)
            if verdict.action != "ask":
                self._settle(number, may_go=verdict.allowed)
                settled += 1
        # Behind those that have waited: they are to be answered, and not cut.
        asyncio.get_running_loop().call_soon(self._enforce)
        return settled

    def allow_once(self, decision: Decision) -> bool:
        """Let one request through: the oldest that waits, or else the next one.

        True if one has waited. Raises MoatError, also where it would change nothing.
        """
        for number in self._waiting.meant_by(decision):
            self._let_go(number, decision.by)
            return True
        self._check_once(decision)
        self._write_decision(decision)
        self._waiting.permit_once(decision)
        self._set_policy(self._handed.session.policy)
        return False

    def _check_once(self, decision: Decision) -> None:
        pattern = decision.rules[0].pattern
        in_the_run = f"moat allow {decision.words}"
        if self._waiting.permissions >= MAX_ONCE:
            raise MoatError(
                "too many permissions for one request wait to be used already",
                hint=f"allow it for the run: {in_the_run}",
            )
        if pattern.below:
            return
        place = Destination("https", pattern.host, pattern.port)
        verdict = self._handed.session.policy.decide(Request("GET", place, "/", ()))
        if verdict.allowed and verdict.path is None:
            raise MoatError(f"{pattern} is allowed already: {verdict.rule_name}")
        if verdict.rule is not None:
            decides = "denies it" if verdict.rule.action == "deny" else "decides about its paths"
            raise MoatError(
                f"a rule {decides}, every time: {verdict.rule}",
                hint=f"to overrule that for the run: {in_the_run}",
            )

    def deny_once(self, decision: Decision) -> int:
        """Refuse what waits and is meant; how many. Raises MoatError if nothing is."""
        numbers = [*self._waiting.meant_by(decision)]
        if not numbers:
            raise MoatError(
                f"nothing waits for {decision.subject}",
                hint=f"to refuse it in this run: moat deny {decision.words}",
            )
        for number in numbers:
            self._settle(number, may_go=False)
        self._write_decision(decision)
        return len(numbers)

    def _set_policy(self, policy: Policy) -> None:
        """Let it hold from now on: as it is meant, or so that a permission can be used."""
        rules, session = policy.rules, self._handed.session
        if self._waiting.permissions and self._mode == "strict":
            policy = OncePolicy(rules, "ask", permits=self._waiting.permits)
        elif policy.mode != self._mode:
            policy = Policy(rules, self._mode)
        if policy is not session.policy:
            self._handed.session = replace(session, policy=policy)

    def _let_go(self, number: int, by: str) -> None:
        request = dict(self._waiting.requests())[number]
        self._write("allow", _named(request), "once", by)
        self._settle(number, may_go=True)

    def _settle(self, number: int, *, may_go: bool) -> None:
        self._waiting.discard(number)
        answer = self._answers.pop(number)
        if not answer.done():  # its client may have gone this very moment
            answer.set_result(may_go)

    def _tell(self) -> None:
        for changed in self._watchers:
            changed()

    def _write_decision(self, decision: Decision) -> None:
        self._write(decision.action, decision.subject, decision.extent, decision.by)

    def _write(self, action: Action, subject: str, extent: Extent, by: str) -> None:
        """Write it down. Raises RecordError for a permission: a refusal holds in any case."""
        try:
            self._decisions.write(action, subject, extent, by)
        except RecordError as error:
            if action == "allow":
                raise
            log.get(__name__).error("%s", error)


def _changes_nothing(decision: Decision) -> MoatError:
    if decision.action == "allow":
        return MoatError(
            f"what {decision.subject} is about is allowed already", hint="see why: moat trace"
        )
    return MoatError(
        f"nothing is allowed at {decision.host} that {decision.subject} would deny",
        hint=f"to deny all of it: moat deny {shlex.quote(decision.host)}",
    )


def _named(request: Request) -> str:
    """A request as it is written down, without what the agent may have put into its path."""
    return f"{shown(request.method, limit=40)} {request.destination}"
