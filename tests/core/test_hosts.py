"""One spelling of a host, one matcher."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.core.hosts import (
    Destination,
    HostPattern,
    canonical_host,
    format_host_port,
    is_address,
    parse_host_port,
)

SPELLINGS = [
    ("example.com", "example.com"),
    ("example.com", "EXAMPLE.com"),
    ("example.com", "example.com."),
    ("_dmarc.example.com", "_dmarc.example.com"),
    ("localhost", "localhost."),
    ("xn--bcher-kva.example", "bücher.example"),
    ("xn--bcher-kva.example", "BÜCHER.example"),
    ("xn--bcher-kva.example", "XN--BCHER-KVA.example"),
    ("example.com", "ｅｘａｍｐｌｅ．com"),  # noqa: RUF001  # the point of it
    ("127.0.0.1", "127.0.0.1"),
    ("127.0.0.1", "127.0.0.1."),
    ("127.0.0.1", "１２７.0.0.1"),  # noqa: RUF001
    ("::1", "::1"),
    ("::1", "[::1]"),
    ("::1", "0:0:0:0:0:0:0:1"),
    ("2001:db8::a", "[2001:0DB8::000A]"),
    ("a" * 63 + ".example", "A" * 63 + ".example"),
]

REFUSED = [
    "",
    ".",
    "..",
    "example..com",
    ".example.com",
    "example.com..",
    "-a.example",
    "a-.example",
    "a" * 64 + ".example",
    ".".join(["a" * 60] * 5),
    "exa mple.com",
    " example.com",
    "example.com\n",
    "example.com\0.evil.example",
    "example.com\t",
    "user@example.com",
    "example.com/path",
    "example.com#x",
    "example.com?x",
    "example.com\\evil",
    "exam%70le.com",
    "*.example.com",
    # what some C library reads as an IPv4 address
    "1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.0.01",
    "127.0.0.0x1",
    "127.0.0.1..",
    "256.0.0.1",
    "1.2.3.4.5",
    "example.0x7f",
    "example.1",
    # brackets, zones
    "[127.0.0.1]",
    "[::1",
    "::1]",
    "[[::1]]",
    "[example.com]",
    "[]",
    "fe80::1%eth0",
    "[fe80::1%25eth0]",
    "::g",
    "::ffff:127.0.0.1",
    "[::ffff:808:808]",
    "[64:ff9b::808:808]",
    "[2002:808:808::1]",
    "::ffff:127.1",
    # one spelling, two names (IDNA 2003 and 2008 disagree)
    "faß.example",
    "βόλος.example",
    "a\u200db.example",
    "a\u200cb.example",
    "\u2100.example",  # maps to a/c
    "ü" * 64 + ".example",
]


@pytest.mark.parametrize(("canonical", "spelling"), SPELLINGS)
def test_a_host_has_one_spelling(canonical: str, spelling: str) -> None:
    """Case, a trailing dot, IDNA and IPv6 forms come to one spelling."""
    assert canonical == canonical_host(spelling)


@pytest.mark.parametrize("text", REFUSED)
def test_what_two_parsers_could_read_differently_is_refused(text: str) -> None:
    """An ambiguous or malformed host raises ValueError and is not repaired."""
    with pytest.raises(ValueError):
        canonical_host(text)


@given(st.text())
def test_canonical_is_idempotent_and_raises_value_error_alone(text: str) -> None:
    """Whatever comes in, the outcome is ValueError or a spelling that stays as it is."""
    try:
        host = canonical_host(text)
    except ValueError as error:
        assert not isinstance(error, UnicodeError)  # noqa: PT017
        return
    assert host == canonical_host(host)
    assert host.isascii()
    assert host == host.lower()


@given(st.from_regex(r"[0-9a-fx]{0,8}(\.[0-9a-fx]{0,4}){0,4}", fullmatch=True))
def test_what_looks_like_an_address_is_one_or_is_refused(text: str) -> None:
    """A numeric last label is a dotted quad in its plain form, or nothing."""
    import ipaddress

    try:
        host = canonical_host(text)
    except ValueError:
        return
    if is_address(host):
        assert host == str(ipaddress.IPv4Address(host))
    else:
        assert not host.rpartition(".")[2].isdigit()


@pytest.mark.parametrize(
    ("expected", "host"),
    [
        (True, "127.0.0.1"),
        (True, "::1"),
        (False, "localhost"),
        (False, "a1.example"),
        (False, "1.example"),
    ],
)
def test_addresses_are_told_from_names(expected: bool, host: str) -> None:
    """A canonical host is an address or a name."""
    assert expected == is_address(host)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (("example.com", 443), "Example.com:443"),
        (("example.com", 1), "example.com:1"),
        (("example.com", 65535), "example.com:65535"),
        (("::1", 8443), "[::1]:8443"),
    ],
)
def test_host_and_port_are_read(expected: tuple[str, int], text: str) -> None:
    """HOST:PORT comes apart, and is put together again canonically."""
    assert expected == parse_host_port(text)
    assert expected == parse_host_port(format_host_port(*expected))


@pytest.mark.parametrize(
    "text",
    [
        "example.com",
        "example.com:",
        "example.com:0",
        "example.com:0443",
        "example.com:65536",
        "example.com:+443",
        "example.com:443 ",
        "example.com:４４３",  # noqa: RUF001
        "example.com:443:443",
        "::1:443",
        "[::1]443",
        "[::1]",
        "[::1]:",
        ":443",
        "a@b:443",
        "",
    ],
)
def test_a_port_has_one_spelling_too(text: str) -> None:
    """Whatever is not HOST:PORT raises ValueError."""
    with pytest.raises(ValueError):
        parse_host_port(text)


@given(st.text(), st.sampled_from(["http", "https"]))
def test_parsing_raises_value_error_alone(text: str, scheme: str) -> None:
    """No text brings anything but ValueError out of the parsers."""
    for parse in (
        parse_host_port,
        HostPattern.parse,
        lambda text: Destination.parse(scheme, text),
    ):
        try:
            parse(text)
        except ValueError:
            pass


@pytest.mark.parametrize(
    ("authority", "text"),
    [
        ("https://example.com", "example.com"),
        ("https://example.com", "example.com:443"),
        ("https://example.com:80", "example.com:80"),
        ("https://[::1]", "[::1]:443"),
        ("https://[::1]:80", "[::1]:80"),
    ],
)
def test_a_destination_leaves_its_default_port_out(authority: str, text: str) -> None:
    """The authority is what a Host header says."""
    assert authority == str(Destination.parse("https", text))


def dest(text: str, scheme: str = "https") -> Destination:
    return Destination.parse(scheme, text)


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.com.", "example.com:443"),
        ("example.com:8443", "example.com:8443"),
        ("*.example.com", "a.example.com"),
        ("*.example.com", "a.b.example.com"),
        ("[::1]", "[::1]"),
        ("127.0.0.1:80", "127.0.0.1:80"),
    ],
)
def test_a_pattern_matches_what_it_means(pattern: str, matching: str) -> None:
    """Exact host and port, or any depth below a suffix."""
    assert HostPattern.parse(pattern).matches(dest(matching))


@pytest.mark.parametrize(
    ("pattern", "other"),
    [
        ("example.com", "a.example.com"),
        ("example.com", "example.com.evil.example"),
        ("example.com", "notexample.com"),
        ("example.com", "example.com:80"),
        ("example.com:8443", "example.com"),
        ("*.example.com", "example.com"),
        ("*.example.com", "notexample.com"),
        ("*.example.com", "a.example.com:8443"),
        ("*.example.com", "a.example.com.evil.example"),
        ("localhost", "127.0.0.1"),
    ],
)
def test_a_pattern_matches_nothing_else(pattern: str, other: str) -> None:
    """No neighbour, no parent, no other port."""
    assert not HostPattern.parse(pattern).matches(dest(other))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "*.",
        "*.com",
        "*.com.",
        "**.example.com",
        "*.*.example.com",
        "a.*.example.com",
        "*example.com",
        "*.127.0.0.1",
        "*.[::1]",
        "https://example.com",
        "example.com/path",
        "::1",
        "example.com:0",
    ],
)
def test_a_pattern_that_means_too_much_is_refused(text: str) -> None:
    """A star stands in front of a name of two labels or more."""
    with pytest.raises(ValueError):
        HostPattern.parse(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("example.com", "example.com:443"),
        ("*.example.com:80", "*.Example.com:80"),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[0::1]:80"),
    ],
)
def test_a_pattern_prints_as_it_is_written(expected: str, text: str) -> None:
    """What is printed reads back as the same pattern."""
    pattern = HostPattern.parse(text)
    assert expected == str(pattern)
    assert pattern == HostPattern.parse(str(pattern))


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (True, "localhost:8080"),
        (True, "127.0.0.1:8080"),
        (True, "10.0.0.5"),
        (True, "[::1]"),
        (False, "example.com"),
        (False, "localhost.example.com"),
        (False, "*.example.com"),
    ],
)
def test_only_an_address_or_localhost_is_a_local_service(expected: bool, text: str) -> None:
    """A public name never leads to a private address."""
    assert expected == HostPattern.parse(text).is_local_service
