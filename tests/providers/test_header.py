"""Any credential goes to the hosts it was granted for, and nowhere else."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from moat.config.settings import Upstream
from moat.core.hosts import Destination
from moat.engine.inject import Injection
from moat.errors import GrantError, MoatError, UsageError
from moat.providers.binding import Binding
from moat.providers.fields import notes_on_length
from moat.providers.header import provider_for
from moat.providers.interface import CredentialProvider, Granted, GrantIO
from moat.providers.placeholder import placeholder_of
from moat.run.injections import injections_of
from moat.vault.credential import Facts

HOST = {"host": "api.example.com"}
PLACEHOLDER = placeholder_of("header:mine")


def grant(
    *bindings: Mapping[str, str],
    environ: Mapping[str, str] | None = None,
    ask: Callable[[str], str] | None = None,
    piped: Callable[[], str] | None = lambda: "s3cret\n",
    **options: str,
) -> Granted:
    given = {name.replace("_", "-"): value for name, value in options.items()}
    io = GrantIO(environ or {}, Upstream(), ask, True, given, bindings or (HOST,), piped)
    return provider_for("mine").grant(io)


def injections(*bindings: Mapping[str, str]) -> tuple[Injection, ...]:
    facts = grant(*bindings).credential.facts
    return injections_of([provider_for("mine")], {"header:mine": facts})


def test_it_is_a_provider() -> None:
    """By the protocol, with a placeholder of its own."""
    provider = provider_for("mine")
    assert isinstance(provider, CredentialProvider)
    assert "header:mine" == provider.grant_ref
    assert provider.placeholder != provider_for("mine2").placeholder
    assert provider.placeholder not in provider_for("mine2").placeholder


# the secret


def test_the_secret_is_taken_from_where_it_was_said() -> None:
    """A variable that is named, else a person, else what is piped in; the space around it goes."""

    def ask(_: str) -> str:
        return " typed "

    for granted, secret, source in (
        (grant(), "s3cret", "standard input"),
        (grant(ask=ask, piped=None), "typed", "the prompt"),
        (grant(ask=ask, environ={"T": " env\n"}, from_env="T"), "env", "$T"),
        (grant(environ={"T": "env"}), "s3cret", "standard input"),
    ):
        assert (secret, source) == (granted.credential.secret.reveal(), granted.source)
        assert secret not in str(granted)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"piped": lambda: ""}, "no secret came on standard input"),
        ({"piped": lambda: " \n"}, "no secret came on standard input"),
        ({"piped": None}, "no terminal to ask at"),
        ({"from_env": "T"}, r"variable T is not set"),
        ({"from_env": "T", "environ": {"T": " "}}, r"or empty"),
        ({"from_env": "", "environ": {"T": "x"}}, r"is not set"),
        ({"piped": lambda: "two\nlines"}, "no token"),
        ({"piped": lambda: "é"}, "no token"),
        ({"ask": lambda _: "", "piped": None}, "no token"),
        ({"from_env": "T", "environ": {"T": "a\r\nX: b"}}, "no token"),
    ],
)
def test_what_is_no_secret_is_told(how: dict[str, Any], reason: str) -> None:
    """With the ways in which it can be given, and without showing it."""
    with pytest.raises(GrantError, match=reason) as caught:
        grant(**how)
    assert caught.value.hint
    assert "two" not in str(caught.value)


# where it goes


def test_a_host_is_all_that_is_needed() -> None:
    """It goes into Authorization as a bearer token; what else is a login goes out."""
    (injection,) = injections(HOST)
    assert ("header:mine", "Authorization", "Bearer {}", None) == (
        injection.grant,
        injection.header,
        injection.format,
        injection.path,
    )
    assert {"X-Api-Key", "Api-Key", "Cookie"} == set(injection.strips)
    assert injection.applies_to(Destination.parse("https", "api.example.com"))
    for other in ("example.com", "api.example.com:8443", "evil.example"):
        assert not injection.applies_to(Destination.parse("https", other))
    assert not injection.applies_to(Destination.parse("http", "api.example.com:443"))


BINDINGS: list[tuple[dict[str, str], str]] = [
    (HOST, "https://api.example.com Authorization: Bearer {}"),
    ({**HOST, "header": "X-Authorization"}, "https://api.example.com X-Authorization: {}"),
    (
        {"host": "b.example", "header": "authorization"},
        "https://b.example authorization: Bearer {}",
    ),
    ({**HOST, "header": "X-Key"}, "https://api.example.com X-Key: {}"),
    (
        {"host": "c.example", "format": 'T t={}, x="y"'},
        'https://c.example Authorization: T t={}, x="y"',
    ),
    (
        {"host": "*.D.example:8443", "header": "X", "format": "s={}"},
        "https://*.d.example:8443 X: s={}",
    ),
    ({"host": "[::1]:444", "header": "X"}, "https://[::1]:444 X: {}"),
    ({**HOST, "path": "/v1/**"}, "https://api.example.com/v1/** Authorization: Bearer {}"),
    ({**HOST, "path": "/"}, "https://api.example.com/ Authorization: Bearer {}"),
    (
        {**HOST, "substitute": "header:Cookie"},
        "https://api.example.com placeholder in header Cookie",
    ),
    ({**HOST, "substitute": "query:key"}, "https://api.example.com placeholder in query key"),
    ({**HOST, "substitute": "body", "path": "/a"}, "https://api.example.com/a placeholder in body"),
]


@pytest.mark.parametrize(("options", "text"), BINDINGS)
def test_what_was_typed_is_what_is_stored(options: dict[str, str], text: str) -> None:
    """As a line a person can read, which is read again as the same."""
    binding = Binding.from_options(options)
    assert text == str(binding)
    assert binding == Binding.parse(text)


def test_bindings_go_together() -> None:
    """One secret, several places, in the order they were given."""
    found = injections(*(options for options, _ in BINDINGS))
    assert [options.get("substitute", "").partition(":")[0] for options, _ in BINDINGS] == [
        "" if item.kind == "set-header" else item.kind.removeprefix("in-") for item in found
    ]
    assert {"header:mine"} == {item.grant for item in found}
    assert {PLACEHOLDER} == {item.placeholder for item in found if item.kind != "set-header"}
    assert "key" in {item.parameter for item in found}


def test_a_header_that_is_looked_into_is_not_stripped() -> None:
    """The others are."""
    (injection,) = injections({**HOST, "substitute": "header:Cookie"})
    assert {"Authorization", "X-Api-Key", "Api-Key"} == set(injection.strips)
    (injection,) = injections({**HOST, "header": "x_api_key"})
    assert {"Authorization", "Api-Key", "Cookie"} == set(injection.strips)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"host": ""}, "the host is empty"),
        ({"host": "https://api.example.com"}, "write a host, not a URL"),
        ({"host": "api.example.com/v1"}, "write a host, not a URL"),
        ({"host": "*"}, "a star stands only in front"),
        ({"host": "*.com"}, "a whole top-level domain"),
        ({"host": "a b"}, "not a host name"),
        ({"host": "x:0"}, "not a port"),
        ({**HOST, "path": ""}, "does not begin with /"),
        ({**HOST, "path": "v1"}, "does not begin with /"),
        ({**HOST, "path": "/v1/../v2"}, r"\. or \.\. segment"),
        ({**HOST, "path": "/v1?x"}, "without its query"),
        ({**HOST, "header": ""}, "is no header"),
        ({**HOST, "header": "X Key"}, "is no header"),
        ({**HOST, "header": "X:\r\nY"}, "is no header"),
        ({**HOST, "header": "Host"}, "is no header"),
        ({**HOST, "header": "content_length"}, "is no header"),
        ({**HOST, "header": "Transfer-Encoding"}, "is no header"),
        ({**HOST, "header": "Proxy-Authorization"}, "is no header"),
        ({**HOST, "format": ""}, "is no format"),
        ({**HOST, "format": "Bearer"}, "is no format"),
        ({**HOST, "format": "{} {}"}, "is no format"),
        ({**HOST, "format": "Bearer {0}"}, "is no format"),
        ({**HOST, "format": "a\r\nb: {}"}, "is no format"),
        ({**HOST, "format": " {}"}, "is no format"),
        ({**HOST, "substitute": ""}, "no part of a request"),
        ({**HOST, "substitute": "header"}, "no part of a request"),
        ({**HOST, "substitute": "header:Host"}, "is no header"),
        ({**HOST, "substitute": "query:"}, "no part of a request"),
        ({**HOST, "substitute": "query:a&b"}, "no part of a request"),
        ({**HOST, "substitute": "body:x"}, "no part of a request"),
        ({**HOST, "substitute": "body", "header": "X"}, "two ways"),
        ({**HOST, "substitute": "query:k", "format": "{}"}, "two ways"),
    ],
)
def test_a_place_that_is_none_is_refused(options: dict[str, str], reason: str) -> None:
    """Before a secret is asked for, with what can be typed instead."""

    def ask(_: str) -> str:
        raise AssertionError

    with pytest.raises(UsageError, match=reason) as caught:
        grant(options, ask=ask, piped=None)
    assert caught.value.hint


def test_two_for_one_place_are_refused() -> None:
    """One of them would win, and nobody would see which."""
    for second in (
        HOST,
        {**HOST, "format": "x {}"},
        {**HOST, "substitute": "header:AUTHORIZATION"},
    ):
        with pytest.raises(UsageError, match="the same place"):
            grant(HOST, second)
    grant(HOST, {**HOST, "header": "X"}, {**HOST, "path": "/v1/**"}, {"host": "b.example"})


def test_without_a_host_nothing_is_granted() -> None:
    """And it is told what is missing."""
    io = GrantIO({}, Upstream(), None)
    with pytest.raises(UsageError, match="which host is mine for") as caught:
        provider_for("mine").grant(io)
    assert "moat grant header mine --host" in str(caught.value.hint)


# in the box


def test_the_placeholder_stands_in_a_variable_if_one_is_named() -> None:
    """And nowhere if none is."""
    provider = provider_for("mine")
    assert {} == provider.container_env(grant().credential.facts)
    facts = grant(env="MY_TOKEN").credential.facts
    assert {"MY_TOKEN": PLACEHOLDER} == provider.container_env(facts)
    assert "MY_TOKEN" == facts.metadata["env"]


@pytest.mark.parametrize("name", ["1A", "A-B", "A=B", "A B", "Ä"])
def test_a_variable_has_a_name(name: str) -> None:
    """As shells have it."""
    with pytest.raises(UsageError, match="no name of a variable"):
        grant(env=name)


def test_it_is_told_where_it_goes() -> None:
    """And, where a placeholder is to be replaced that stands in no variable, what to write."""
    notes = grant(HOST, {"host": "b.example", "header": "X"}).notes
    assert "it goes to https://api.example.com Authorization: Bearer {}" in notes
    assert "it goes to https://b.example X: {}" in notes
    assert not any(PLACEHOLDER in note for note in notes)
    looking = {**HOST, "substitute": "body"}
    assert any(PLACEHOLDER in note for note in grant(looking).notes)
    assert not any(PLACEHOLDER in note for note in grant(looking, env="T").notes)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"to": ""},
        {"to": "https://api.example.com"},
        {"to": "http://api.example.com X: {}"},
        {"to": "https://api.example.com X: "},
        {"to": "https://a b X: {}"},
        {"to": "https://api.example.com placeholder in trailer x"},
    ],
)
def test_what_cannot_be_read_goes_nowhere(metadata: dict[str, str]) -> None:
    """Such as what another Moat has stored."""
    facts = Facts("header:mine", datetime.datetime.now(datetime.UTC), metadata=metadata)
    with pytest.raises(GrantError, match="cannot be read"):
        injections_of([provider_for("mine")], {"header:mine": facts})


@pytest.mark.parametrize("name", ["", "A", "a:b", "../x", "a b", "-a", "a" * 65])
def test_a_name_is_a_plain_one(name: str) -> None:
    """It becomes part of a file's name."""
    with pytest.raises(MoatError, match=r"is no grant"):
        provider_for(name)


def test_a_secret_too_short_to_be_found_in_answers_is_said_to_be() -> None:
    """Seven characters are told of, eight are not."""
    assert "fewer than 8 characters" in notes_on_length("1234567")[0]
    assert () == notes_on_length("12345678")
