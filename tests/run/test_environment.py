"""The environment of a box is made from nothing, and nothing in it leads around the proxy."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from moat.core.hosts import HostPattern
from moat.engine.policy import Policy
from moat.engine.rules import Rule
from moat.errors import UsageError
from moat.pki.pack import JAVA_OPTIONS, TRUST_VARIABLES
from moat.run.environment import RESERVED, box_environment, client_environment

HELD = {"OPENAI_API_KEY": "sk-placeholder"}


def environment(
    project: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
    *rules: Rule,
) -> dict[str, str]:
    return box_environment(
        {"TERM": "xterm", "SECRET": "x"},
        placeholders=[HELD],
        project=project or {},
        options=options or {},
        path=["/bin"],
        policy=Policy(rules),
    )


def test_what_is_asked_for_is_there() -> None:
    """The project's variables, and over them those that were typed; the terminal's own too."""
    made = environment({"A": "1", "B": "2", "TERM": "vt100"}, {"B": "3"})
    assert {"A": "1", "B": "3", "TERM": "vt100", **HELD}.items() <= made.items()
    assert "SECRET" not in made


@pytest.mark.parametrize("name", sorted({*RESERVED, *HELD}))
def test_what_is_moats_cannot_be_set(name: str) -> None:
    """Neither by the project nor by an option; and it is named."""
    with pytest.raises(UsageError, match=rf"^the variable {name} "):
        environment({name: "x"})
    with pytest.raises(UsageError, match=rf"^the variable {name} "):
        environment({}, {name: "x"})


def test_the_whole_pack_is_moats() -> None:
    """All but one variable that leads to the proxy are refused; that one is a list of options, of
    which the last count: the project's come first, and those typed in their place."""
    assert {JAVA_OPTIONS} == set(TRUST_VARIABLES) - RESERVED
    ours = environment()[JAVA_OPTIONS]
    assert f"-Xmx1g {ours}" == environment({JAVA_OPTIONS: "-Xmx1g"})[JAVA_OPTIONS]
    assert (
        f"-Xmx2g {ours}"
        == environment({JAVA_OPTIONS: "-Xmx1g"}, {JAVA_OPTIONS: "-Xmx2g"})[JAVA_OPTIONS]
    )


def test_whatever_is_set_cannot_be_set_otherwise() -> None:
    """But for Java's options, the terminal's and the language, nothing that a box has is a
    project's to change, so that none of it is changed unseen."""
    assert environment().keys() - RESERVED == {JAVA_OPTIONS, "LANG", "TERM", *HELD}


def test_a_service_of_the_host_is_reached_by_the_proxy() -> None:
    """Its name no longer means the box, to any tool; one that is denied still does."""
    named = HostPattern.parse("localhost:3000")
    made = environment({}, {}, Rule(named, "option"))
    assert "127.0.0.1,::1" == made["NO_PROXY"] == made["no_proxy"]
    assert made[JAVA_OPTIONS].endswith("-Dhttp.nonProxyHosts=127.0.0.1|[::1]")
    assert environment() == environment({}, {}, Rule(named, "settings", "deny"))


def test_registries_are_told_unless_somebody_says_otherwise() -> None:
    """They come from this machine's clients; a project or an option may know better."""
    told = {"PIP_INDEX_URL": "https://packages.example.com/simple"}

    def made(**given: Mapping[str, str]) -> str:
        asked: dict[str, Mapping[str, str]] = {"project": {}, "options": {}, **given}
        return box_environment(
            {}, placeholders=[], path=[], policy=Policy(), registries=told, **asked
        )["PIP_INDEX_URL"]

    assert told["PIP_INDEX_URL"] == made()
    mine = {"PIP_INDEX_URL": "https://mine.example.com/"}
    assert mine["PIP_INDEX_URL"] == made(project=mine) == made(options=mine)


def client(token: str | None = None, *rules: Rule) -> dict[str, str]:
    return client_environment(
        HELD,
        bundle="/m/ca.pem",
        java_store="/m/cacerts",
        host="127.0.0.1",
        port=8080,
        token=token,
        policy=Policy(rules),
    )


def test_a_client_without_a_box_is_told_of_proxy_and_ca_alone() -> None:
    """And of the placeholders; who it is and where it looks for programs is its own."""
    made = client()
    assert {*TRUST_VARIABLES, *HELD} == set(made)
    assert "/m/ca.pem" == made["SSL_CERT_FILE"]
    assert "http://127.0.0.1:8080" == made["https_proxy"]
    assert "/m/cacerts" in made[JAVA_OPTIONS]


def test_a_token_stands_in_the_address_of_the_proxy() -> None:
    """As the password of somebody."""
    assert "http://moat:t0ken@127.0.0.1:8080" == client("t0ken")["HTTP_PROXY"]


def test_a_service_of_the_machine_that_was_allowed_is_asked_through_the_proxy() -> None:
    """In a box or not: or it would be neither judged nor recorded."""
    assert "localhost,127.0.0.1,::1" == client()["NO_PROXY"]
    rule = Rule(HostPattern("localhost", 5432), "option")
    assert "127.0.0.1,::1" == client(None, rule)["no_proxy"]
