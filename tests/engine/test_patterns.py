"""Patterns of paths."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.engine.paths import canonical_path, folded, segments
from moat.engine.patterns import PathPattern


def matches(pattern: str, path: str, *, folding: bool = False) -> bool:
    parts = segments(canonical_path(path))
    found = PathPattern.parse(pattern, folding=folding)
    return found.matches(folded(parts) if folding else parts)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("/", ["/"], ["/a"]),
        ("/a", ["/a", "/%61"], ["/", "/A", "/a/", "/ab", "/a/b"]),
        ("/a/", ["/a/"], ["/a", "/a/b"]),
        ("/*", ["/a", "/a.b", "/%2A"], ["/", "/a/", "/a/b"]),
        ("/a/*", ["/a/b"], ["/a", "/a/", "/a/b/", "/a/b/c"]),
        ("/a/*/c", ["/a/b/c"], ["/a/c", "/a/b/b/c", "/a/b/d"]),
        ("/**", ["/", "/a", "/a/b/", "/a/b/c"], []),
        ("/a/**", ["/a", "/a/", "/a/b", "/a/b/c/"], ["/", "/ab", "/b/a"]),
        ("/**/z", ["/z", "/a/z", "/a/b/z"], ["/", "/z/", "/az", "/z/a"]),
        ("/a/**/z", ["/a/z", "/a/b/z", "/a/z/z"], ["/a", "/z", "/az"]),
        ("/a/**/a", ["/a/a", "/a/b/a"], ["/a", "/", "/a/b"]),
        ("/a/b/**/b/c", ["/a/b/b/c"], ["/a/b/c", "/a", "/c"]),
        ("/a/**/b/*/**/z", ["/a/b/c/z", "/a/b/b/b/c/x/z"], ["/a/b/z", "/a/c/z"]),
        ("/**/**", ["/", "/a/b"], []),
        ("/*.git", ["/a.git", "/.git"], ["/a.gitx", "/a/b.git"]),
        ("/v*/a", ["/v/a", "/v1/a"], ["/a", "/w/a"]),
        ("/a*b*c", ["/abc", "/aXbXc", "/abbc"], ["/ac", "/ab", "/abcd", "/a/b/c"]),
        ("/a*a", ["/aa", "/aba"], ["/a"]),
        ("/@a/%40b", ["/@a/@b", "/%40a/%40b"], ["/a/b"]),
        ("/a%2Ab", ["/a*b", "/a%2Ab"], ["/axb"]),
        ("/é".encode().decode("latin-1").replace("Ã", "%C3").replace("©", "%A9"), ["/%C3%A9"], []),
    ],
)
def test_stars_stand_for_what_they_stand_for(pattern: str, yes: list[str], no: list[str]) -> None:
    """One for a segment or a part of one, two for any number of segments."""
    assert yes == [path for path in (*yes, *no) if matches(pattern, path)]


def test_folding_is_for_denials() -> None:
    """In any case, and with or without a slash at the end."""
    for path in ("/admin/x", "/ADMIN/X", "/Admin/x/"):
        assert matches("/Admin/X/", path, folding=True)
    assert not matches("/Admin/X/", "/admin/x")
    assert matches("/", "/", folding=True)
    assert str(PathPattern.parse("/Admin/X/", folding=True)) == "/Admin/X/"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, "does not begin") for text in ("", "a", "*")),
        *((text, "query") for text in ("/a?b", "/?")),
        *((text, "whole segments") for text in ("/a**", "/**b", "/***", "/a/b**/c")),
        *((text, "more than one way") for text in ("/a//b", "/a;b", "/a%2Fb", "/%252f")),
        *((text, "segment") for text in ("/a/../b", "/%2e%2e/**", "/.")),
        *((text, "must be encoded") for text in ("/é", "/a b", "/a\\b")),
        ("/" + "a" * 1024, "at most"),
        ("/a" * 65, "at most"),
    ],
)
def test_a_pattern_nothing_could_match_is_refused(text: str, reason: str) -> None:
    """Found out when it is read, and not when it fails to protect."""
    with pytest.raises(ValueError, match=reason):
        PathPattern.parse(text)


SEGMENTS = st.text("ab*", min_size=1, max_size=4).map(lambda text: re.sub(r"\*+", "*", text))
PATTERNS = st.lists(SEGMENTS | st.just("**"), max_size=6).map(lambda parts: "/" + "/".join(parts))
PATHS = st.lists(st.text("ab", min_size=1, max_size=3), max_size=7).flatmap(
    lambda parts: st.sampled_from(["/" + "/".join(parts), "/" + "/".join([*parts, ""])])
)


def slowly(pattern: str) -> re.Pattern[str]:
    """The same as a regular expression, which may try again and again."""
    written = ""
    for part in pattern[1:].split("/"):
        if part == "**":
            written += "(?:/[^/]*)*"
        elif part == "*":
            written += "/[^/]+"
        else:
            written += "/" + "[^/]*".join(map(re.escape, part.split("*")))
    return re.compile(written)


@given(PATTERNS, PATHS)
def test_matching_agrees_with_a_slow_reference(pattern: str, path: str) -> None:
    """Whatever stands where."""
    found = PathPattern.parse(pattern)
    assert found.matches(path[1:].split("/")) is bool(slowly(pattern).fullmatch(path))


@pytest.mark.attack
def test_no_path_makes_matching_slow() -> None:
    """What takes a backtracking matcher longer than anybody waits takes no time at all."""
    several = PathPattern.parse("/**/a" * 20 + "/**/b")
    within = PathPattern.parse("/" + "*a" * 100 + "*b")
    began = time.process_time()
    assert not several.matches(["a"] * 20_000)
    assert not within.matches(["a" * 40_000])
    assert time.process_time() - began < 20
