"""Which names resolve in a box, and to what."""

from __future__ import annotations

import ipaddress

import pytest

from moat.core.addresses import is_public
from moat.engine.dns import AAAA, A, Code, parse_query
from moat.engine.names import Answer, Names, may_allow
from moat.engine.policy import Mode, Policy
from moat.engine.rules import PathRule, Source, host_rule
from support.dns import labels, query

NONE = Answer(Code.NO_SUCH_NAME)


def policy(*rules: str, mode: Mode = "strict", source: Source = "option") -> Policy:
    """`HOST`, or `deny HOST`."""
    made = []
    for rule in rules:
        denied = rule.startswith("deny ")
        made.append(host_rule(rule.removeprefix("deny "), source, "deny" if denied else "allow"))
    return Policy(tuple(made), mode)


def ask(names: Names, name: str, rules: Policy, kind: int = A) -> Answer:
    """What a question for a name is answered."""
    return names.answer(parse_query(query(labels(name), kind)), rules)


def address(answer: Answer) -> str:
    """The address in an answer, as the kernel writes it."""
    return str(ipaddress.ip_address(answer.address))


@pytest.mark.parametrize(
    ("rules", "host"),
    [
        (policy("a.example"), "a.example"),
        (policy("a.example:80"), "a.example"),
        (policy("a.example:80", source="agent"), "a.example"),
        (policy("*.example.com"), "b.a.example.com"),
        (policy("localhost:80"), "localhost"),
        (policy("deny a.example:80", "a.example"), "a.example"),
        (policy("a.example", "deny a.example"), "a.example"),
        (policy(mode="permissive"), "a.example"),
        (policy(mode="ask"), "a.example"),
    ],
)
def test_a_name_that_policy_may_allow_resolves(rules: Policy, host: str) -> None:
    """On one of the two ports, whatever is said of the other."""
    assert may_allow(rules, host)


@pytest.mark.parametrize(
    ("rules", "host"),
    [
        (policy(), "a.example"),
        (policy("a.example"), "b.example"),
        (policy("a.example"), "b.a.example"),
        (policy("*.a.example"), "a.example"),
        (policy("a.example:8443"), "a.example"),
        (policy("deny a.example", "a.example"), "a.example"),
        (policy("deny *.b.example", mode="permissive"), "a.b.example"),
        (policy("deny a.example", mode="ask"), "a.example"),
        (policy(mode="permissive"), "metadata"),
        (policy(mode="ask"), "localhost"),
    ],
)
def test_a_name_that_policy_denies_does_not(rules: Policy, host: str) -> None:
    """Nobody learns more of it than that."""
    assert not may_allow(rules, host)
    names = Names()
    assert Answer(Code.NO_SUCH_NAME, refused=host) == ask(names, host, rules)
    assert Answer(Code.NO_SUCH_NAME, refused=host) == ask(names, host, rules, AAAA)
    assert NONE == ask(names, host, rules, 16)


def test_rules_about_paths_are_for_the_request() -> None:
    """A name that is allowed somewhere resolves."""
    path = PathRule.parse("allow GET /repos/**")
    assert may_allow(Policy((host_rule("a.example", "settings", "allow", (path,)),)), "a.example")


ANY = policy(mode="permissive")


def test_a_name_has_its_own_addresses() -> None:
    """The same ones however it is asked for, and each leads back to it."""
    names = Names()
    first, second = (ask(names, name, ANY) for name in ("a.example", "b.example"))
    assert ("198.18.0.1", "198.18.0.2") == (address(first), address(second))
    assert first == ask(names, "A.Example", ANY)
    sixth = address(ask(names, "b.example", ANY, AAAA))
    assert "fd4d:6f61:7400::2" == sixth
    assert ["a.example", "b.example", "b.example"] == [
        names.at(text) for text in ("198.18.0.1", "198.18.0.2", sixth)
    ]


@pytest.mark.parametrize("kind", [2, 5, 6, 12, 15, 16, 33, 64, 65])
def test_a_name_has_nothing_but_addresses(kind: int) -> None:
    """It is there, and what else was asked for is not: no HTTPS record leads to another name."""
    assert Answer(Code.OK) == ask(Names(), "a.example", ANY, kind)


@pytest.mark.parametrize(
    "name", ["", "127.0.0.1", "0x7f.1", "::1", "[::1]", "a b.example", "-a.example", "ä.example"]
)
def test_what_is_no_name_does_not_resolve(name: str) -> None:
    """Not even where every name does; there is nothing to record of it either."""
    assert NONE == ask(Names(), name, ANY)


def test_odd_questions_are_refused() -> None:
    """As in every resolver that is nobody's but its clients'."""
    odd = parse_query(query(labels("a.example"), 255))
    assert Answer(Code.REFUSED) == Names().answer(odd, ANY)


@pytest.mark.parametrize("text", ["198.18.0.2", "198.18.0.0", "fd4d:6f61:7400::", "127.0.0.1", ""])
def test_an_address_of_nobody_leads_to_no_name(text: str) -> None:
    """What was not given away means nothing."""
    names = Names()
    ask(names, "a.example", ANY)
    assert names.at(text) is None


def test_addresses_run_out() -> None:
    """None is given away twice: who asked first may still mean it."""
    names = Names(most=300)
    given = {address(ask(names, f"{number}.example", ANY)) for number in range(300)}
    assert len(given) == 300
    assert "198.18.1.44" in given
    assert Answer(Code.FAILED) == ask(names, "one-more.example", ANY)
    assert "0.example" == names.at(address(ask(names, "0.example", ANY)))
    assert "299.example" == names.at("fd4d:6f61:7400::12c")


def test_what_is_denied_later_resolves_no_longer() -> None:
    """Its address still stands for it, and for nothing else."""
    names = Names()
    ask(names, "a.example", ANY)
    assert ask(names, "a.example", policy()).code == Code.NO_SUCH_NAME
    assert "a.example" == names.at("198.18.0.1")


@pytest.mark.parametrize("kind", [A, AAAA])
def test_no_address_of_a_name_is_public(kind: int) -> None:
    """So the proxy never dials it, whoever names it as his own."""
    names = Names()
    given = [address(ask(names, f"{number}.example", ANY, kind)) for number in range(600)]
    assert not any(map(is_public, given))
    assert [f"{number}.example" for number in range(600)] == list(map(names.at, given))
