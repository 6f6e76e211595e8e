"""Whose word counts in the policy of a run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.play import ask
from moat.config.network import NetworkPolicy, NetworkRule
from moat.core.hosts import HostPattern
from moat.engine.policy import Policy
from moat.engine.rules import host_rule
from moat.errors import UsageError
from moat.run.policy import NetworkWanted, build_policy

HOST = HostPattern("a.example")
READ = NetworkRule("a.example", paths=("allow GET /**",))
ALLOW, DENY = NetworkRule("a.example"), NetworkRule("a.example", "deny")


def policy(*needing: str, **said: Any) -> Policy:
    """The policy where the host is needed by these: agent, grants or servers."""
    return build_policy(NetworkWanted(**said), **{key: [HOST] for key in needing})


def allows(made: Policy, method: str = "GET") -> bool:
    return made.decide(ask("https://a.example/x", method)).allowed


@pytest.mark.parametrize(
    "said",
    [
        {"settings_rules": (ALLOW,)},
        {"settings_allow": ("a.example",)},
        {"allow_options": ("a.example",)},
        {"file_rules": (ALLOW,)},
        {"project_rules": (ALLOW,)},
    ],
)
def test_a_word_of_anybody_opens_what_nobody_closed(said: dict[str, Any]) -> None:
    """Twins of the refusals below."""
    assert not allows(policy())
    assert allows(policy(**said), "POST")


@pytest.mark.parametrize("needing", ["agent", "grants", "servers"])
def test_what_a_run_needs_is_open(needing: str) -> None:
    """Nobody has to name it."""
    assert allows(policy(needing), "POST")


@pytest.mark.attack
@pytest.mark.parametrize("rule", [DENY, READ])
@pytest.mark.parametrize(
    "said",
    [
        {"allow_options": ("a.example",)},
        {"file_rules": (ALLOW,)},
        {"project_rules": (ALLOW,)},
        {"project_rules": (NetworkRule("a.example", paths=("allow * /**",)),)},
        {"project_policy": "permissive"},
        {"policy": "permissive"},
        {"settings_allow": ("a.example",)},
    ],
)
def test_what_the_person_laid_down_is_undone_by_nobody(
    said: dict[str, Any], rule: NetworkRule
) -> None:
    """By no option, no project, no agent, and by no policy that lets everything through."""
    made = policy("agent", "grants", "servers", settings_rules=(rule,), **said)
    assert not allows(made, "POST")
    assert allows(made) is (rule is READ)
    assert allows(made.with_rule(host_rule("a.example", "live")), "POST")


@pytest.mark.parametrize("rule", [DENY, READ])
def test_a_project_narrows_what_its_run_needs(rule: NetworkRule) -> None:
    """Its agent, its grants, its servers, and hosts that may be reached in general."""
    made = policy(
        *("agent", "grants", "servers"), project_rules=(rule,), settings_allow=("a.example",)
    )
    assert not allows(made, "POST")
    assert allows(made) is (rule is READ)


@pytest.mark.parametrize("rule", [DENY, READ])
def test_what_was_typed_is_more_than_what_a_project_says(rule: NetworkRule) -> None:
    """The person has seen both."""
    assert allows(policy(project_rules=(rule,), allow_options=("a.example",)), "POST")


@pytest.mark.parametrize("rule", [DENY, READ])
def test_a_file_that_was_named_narrows_what_is_needed(rule: NetworkRule) -> None:
    """It was typed, so it also undoes what a project says; a host that was typed is more."""
    made = policy("grants", file_rules=(rule,), project_rules=(ALLOW,))
    assert not allows(made, "POST")
    assert allows(made) is (rule is READ)
    assert allows(policy(file_rules=(rule,), allow_options=("a.example",)), "POST")
    assert str(made.rules[0]).endswith("(--policy)")


def test_the_order_within_a_list_is_kept() -> None:
    """An exception stands before what it is one of."""
    rules = (NetworkRule("a.example.org"), NetworkRule("*.example.org", "deny"))
    made = policy(settings_rules=rules, settings_policy="permissive")
    assert made.decide(ask("https://a.example.org/")).allowed
    assert not made.decide(ask("https://b.example.org/")).allowed


GROUPS = {"npm": (HostPattern("r.example"), HostPattern("r.example", 8081))}


def test_a_group_is_its_hosts() -> None:
    """Wherever a host may be named; denied, it is denied on every port."""
    made = policy(allow_options=("@npm",), groups=GROUPS)
    assert [
        "allow r.example (--allow-host, @npm)",
        "allow r.example:8081 (--allow-host, @npm)",
    ] == [str(rule) for rule in made.rules]
    lines = NetworkRule("@npm", paths=("allow GET /a",))
    for said in ({"settings_rules": (lines,)}, {"project_rules": (lines,)}):
        made = policy(groups=GROUPS, **said)
        assert made.decide(ask("https://r.example:8081/a", "GET")).allowed
        assert not made.decide(ask("https://r.example:8081/b", "GET")).allowed
    assert policy(settings_allow=("@npm",), groups=GROUPS).decide(ask("https://r.example/")).allowed
    denied = policy(
        settings_rules=(NetworkRule("@npm", "deny"),), groups=GROUPS, policy="permissive"
    )
    assert not denied.decide(ask("https://r.example:1/")).allowed
    assert not denied.decide(ask("http://r.example/")).allowed
    assert denied.decide(ask("https://s.example/")).allowed


@pytest.mark.parametrize("text", ["https://a.b", "*", "deny a.b", "a b"])
def test_an_option_names_a_host_or_a_group(text: str) -> None:
    """And nothing else; how it is written is said."""
    with pytest.raises(UsageError, match="--allow-host") as caught:
        policy(allow_options=(text,))
    assert "@GROUP" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("mode", "option", "project", "settings"),
    [
        ("strict", None, None, None),
        ("permissive", None, "permissive", None),
        ("ask", None, "ask", None),
        ("ask", None, None, "ask"),
        ("permissive", None, None, "permissive"),
        ("strict", None, "permissive", "strict"),
        ("ask", None, "permissive", "ask"),
        ("strict", None, "strict", "permissive"),
        ("ask", None, "ask", "permissive"),
        ("permissive", "permissive", "strict", "strict"),
        ("strict", "strict", "permissive", "permissive"),
    ],
)
def test_a_project_gets_nothing_more_open_than_the_person_has_it(
    mode: str, option: NetworkPolicy, project: NetworkPolicy, settings: NetworkPolicy
) -> None:
    """What was typed holds; else the stricter of two."""
    wanted = NetworkWanted(option, project_policy=project, settings_policy=settings)
    assert mode == wanted.mode == build_policy(wanted).mode


POLICIES = st.sampled_from([None, "strict", "ask", "permissive"])


@given(POLICIES, POLICIES, POLICIES)
def test_whoever_is_held_back_asked_for_more(option: Any, project: Any, settings: Any) -> None:
    """And is told so; nobody else is."""
    wanted = NetworkWanted(option, project_policy=project, settings_policy=settings)
    openness = ["strict", "ask", "permissive"]
    gets = openness.index(wanted.mode)
    assert wanted.is_held_back is (project is not None and gets < openness.index(project))
    if option is None and settings is not None:
        assert gets <= openness.index(settings)
