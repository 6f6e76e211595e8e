"""A path has one spelling, and what can be read in two ways is not judged."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.engine.paths import canonical_path, canonical_target, folded, segments

PIECES = st.sampled_from(
    [
        *("/", "//", ".", "..", "a", "A", "%", "%2", "%41", "%2e", "%2F", "%5c", "%25", "%252F"),
        *(
            ";",
            "?",
            "#",
            "\\",
            "*",
            "@",
            "%40",
            "+",
            "%2b",
            "[",
            "%5B",
            "é",
            "%C3%A9",
            "%00",
            "%7f",
        ),
        *("~", "%7e", " ", "\n", "\x00", '"', "|", "a.b", ".git", "%ff", "=", "&", ":", "0"),
    ]
)
TARGETS = st.one_of(
    st.lists(PIECES, max_size=12).map(lambda pieces: "/" + "".join(pieces)),
    st.text(max_size=20).map(lambda text: "/" + text),
    st.text(max_size=8),
)


@pytest.mark.parametrize(
    ("sent", "target"),
    [
        *((text, text) for text in ("/", "*", "/v1/models", "/a//b/", "/a;b=c/d", "/a%2Fb", "/?")),
        *((text, text) for text in ("/.git/config", "/...", "/a..b/c.", "/%25", "/a%252Fb")),
        *(
            (text, text)
            for text in ("/@a/b:c,d=e&f+g$h!i'j(k)*l~m", "/a%40b", "/a?b=/../%&c=[]|\\")
        ),
        ("/~x", "/%7Ex"),
        ("/Az09-._~", "/%41%7a%30%39%2d%2E%5f%7E"),
        ("/a%2Fb%5Cc%C3%A9", "/a%2fb%5cc%c3%a9"),
        ("/%22%3C%3E%5B%5D%5E%60%7B%7C%7D", '/"<>[]^`{|}'),
        ("/%252F", "/%25%32%46"),
        ("/a.b", "/a%2eb"),
        ("/.a", "/%2Ea"),
    ],
)
def test_a_path_has_one_spelling(sent: str, target: str) -> None:
    """Escapes that mean the same are one; the query stays as it is."""

    assert sent == canonical_target(target)


@pytest.mark.attack
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        *((text, "segment") for text in ("/.", "/..", "/a/./b", "/a/../b", "/a/..?x", "/../a")),
        *((text, "segment") for text in ("/%2e", "/%2E%2e/a", "/a/.%2e/b", "/a/%2e./b", "/a/%2e")),
        *((text, "segment") for text in ("/..;/a", "/a/..;x=y/b", "/..%3B/a", "/.;", "/%2e%2e;/a")),
        *(
            (text, "segment")
            for text in ("/a/..%2fb", "/a%2f..%2fb", "/a%5C..", "/..%5Ca", "/%2F.")
        ),
        *(
            (text, "no escape")
            for text in ("", "/%", "/%2", "/%zz", "/%u002f", "/%%41", "/100%")[1:]
        ),
        *((text, "control") for text in ("/%00", "/a%0d%0aHost:b", "/%1F", "/%7f", "/a%09")),
        *(
            (text, "encoded")
            for text in ("/a\\b", "/é", "/a b", "/a\nb", "/a\x00", "/a\x7f", "/a#b")
        ),
        *((text, "query") for text in ("/?a#b", "/?é", "/? ", "/?\n", "/?\x7f")),
        *((text, "does not begin") for text in ("", "a", "?a", "**", "http://a/", "@a/b")),
    ],
)
def test_what_no_honest_client_sends_is_refused(target: str, reason: str) -> None:
    """For every host, whatever its rules."""
    with pytest.raises(ValueError, match=reason):
        canonical_target(target)


@given(TARGETS)
def test_a_spelling_is_final(target: str) -> None:
    """What is made canonical once is not made anything else later; it fits a request line, and
    means the very bytes that were asked for."""
    try:
        once = canonical_target(target)
    except ValueError:
        return
    assert once == canonical_target(once)
    assert re.fullmatch(r"[!-~]+", once)
    path, asked = once.partition("?")[0], target.partition("?")[0]
    assert unquote_to_bytes(path) == unquote_to_bytes(asked)
    assert once.partition("?")[1:] == target.partition("?")[1:]


def outcome(function: Callable[[str], str], target: str) -> str | None:
    """What comes of a target; None where it is refused."""
    try:
        return function(target)
    except ValueError:
        return None


def closely(target: str) -> str:
    """What the glance at plain targets stands for."""
    path, mark, query = target.partition("?")
    if not re.fullmatch(r"[!\"$-~]*", query):
        raise ValueError(query)
    return "*" if target == "*" else canonical_path(path) + mark + query


@given(TARGETS)
def test_the_short_way_is_the_long_one(target: str) -> None:
    """What is let through at a glance is what a closer look lets through, unchanged."""
    assert outcome(closely, target) == outcome(canonical_target, target)


@given(TARGETS)
def test_what_is_judged_is_what_is_sent(target: str) -> None:
    """Segments are those of the path as every server cuts and decodes it, or there are none."""
    try:
        path = canonical_target(target).partition("?")[0]
        parts = segments(path)
    except ValueError:
        return
    if path == "*":
        return
    assert [unquote_to_bytes(part).decode() for part in path[1:].split("/")] == parts
    # Decoding first and cutting then comes to the same, as does decoding once more or with `;`.
    assert unquote_to_bytes(path)[1:].decode().split("/") == parts
    twice = unquote_to_bytes(unquote_to_bytes(path))
    assert twice == unquote_to_bytes(path)
    assert "" not in parts[:-1]
    assert {".", ".."}.isdisjoint(parts)
    assert {";", "?", "#", "\\"}.isdisjoint("".join(parts))


@pytest.mark.attack
@pytest.mark.parametrize(
    "path",
    [
        *("//a", "/a//b", "/a//", "/a;b", "/;", "/a;jsessionid=1/b", "/a%3Bb", "/a%2Fb", "/a%5Cb"),
        *("/a%3Fb", "/a%23b", "/a%252Fb", "/a%252eb", "/%2541", "/%25252F"),
        *("/%FF", "/%C0%AF", "/%C0%AE%C0%AE", "/%E0%80%AF", "/%ED%A0%80", "/%C3"),
        *("/a%EF%BC%8Fb", "/%EF%BC%8E%EF%BC%8E", "/a%EF%BC%9Bb", "/%EF%BC%85", "/%E2%84%80"),
        "/%E2%80%A5",
    ],
)
def test_what_servers_read_in_two_ways_has_no_segments(path: str) -> None:
    """It passes where nothing reads it, as npm's and GitLab's names do, and is not judged."""
    assert path == canonical_target(path)
    with pytest.raises(ValueError):
        segments(path)


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ([""], "/"),
        (["a", "b", ""], "/a/b/"),
        (["@a", "b+c"], "/%40a/b%2Bc"),
        (["100%", "a b"], "/100%25/a%20b"),
        (["é", "…x", "日本"], "/%C3%A9/%E2%80%A6x/%E6%97%A5%E6%9C%AC"),
        (["*"], "/%2A"),
        ([".git", "a..b"], "/.git/a..b"),
    ],
)
def test_other_paths_are_cut_and_decoded(parts: list[str], path: str) -> None:
    """Names of files in any language, and the escapes that clients like."""
    assert parts == segments(canonical_path(path))


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ([""], "/"),
        (["admin"], "/Admin/"),
        (["caf\u00e9"], "/Cafe%CC%81"),
        (["strasse"], "/STRA%C3%9FE"),
        (["k"], "/%E2%84%AA"),
    ],
)
def test_folding_takes_for_one_what_servers_may(parts: list[str], path: str) -> None:
    """Cases, Unicode's spellings, a slash at the end."""
    assert parts == folded(segments(canonical_path(path)))
