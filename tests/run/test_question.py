"""A question reads well and fits, and only keys pressed after it was seen answer it."""

from __future__ import annotations

import pytest

from moat.run.question import NO, PROMPT, STILL, UNKNOWN, Answer, Asked, Dialog, question_lines

ASKED = Asked(
    id=3,
    destination="https://api.example.com:8443",
    host="api.example.com:8443",
    inside=False,
    method="POST",
    url="https://api.example.com:8443/v1/things?token=***",
    waiting=3,
    run="dc1eh6tndp",
    name="fix-login",
    timeout=120.0,
)


def ready() -> Dialog:
    """A question that was looked at long enough."""
    dialog = Dialog(ASKED, 0.0)
    assert dialog.wait(STILL)
    return dialog


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (b"o\r", Answer("allow", "once")),
        (b"once\n", Answer("allow", "once")),
        (b"r\r", Answer("allow", "run")),
        (b"A\r", Answer("allow", "always")),
        (b"always\r", Answer("allow", "always")),
        (b"\r", NO),
        (b"n\r", NO),
        (b"d\r", Answer("deny", "run")),
        (b"q\r", Answer("deny", "rest")),
        (b"o\x7fn\r", NO),
        (b"o\x03", NO),
        (b"r\x04", NO),
    ],
)
def test_keys_become_an_answer(typed: bytes, answer: Answer) -> None:
    """A letter or a word and Enter; Enter alone, Ctrl-C and Ctrl-D are a no."""
    assert answer == ready().keys(typed, 1.0)
    slowly = ready()
    found = [slowly.keys(bytes([key]), 1.0) for key in typed]
    assert [None] * (len(typed) - 1) + [answer] == found


@pytest.mark.parametrize("typed", [b"o", b"run", b"yes\r", b"y\r", b"oo\r", b"why\r", b"\t"])
def test_anything_else_is_no_answer(typed: bytes) -> None:
    """It goes on asking, and says so when Enter was pressed."""
    dialog = ready()
    assert dialog.keys(typed, 1.0) is None
    lines = dialog.lines(24, 80)
    assert lines is not None
    assert (UNKNOWN in lines) == typed.endswith(b"\r")


def test_keys_do_not_count_until_the_keyboard_was_still() -> None:
    """Who types on while the question comes up has answered nothing, however long they type."""
    dialog = Dialog(ASKED, 0.0)
    now = 0.0
    for key in b"run\ro\r\r":
        now += STILL * 0.9
        assert not dialog.wait(now)
        assert dialog.keys(bytes([key]), now) is None
        lines = dialog.lines(24, 80)
        assert lines is not None
        assert "" == lines[-1]  # it does not even look as if one could answer
    assert not dialog.wait(now + STILL * 0.9)
    assert dialog.wait(now + STILL)
    assert Answer("allow", "once") == dialog.keys(b"o\r", now + STILL)


@pytest.mark.parametrize("reply", [b"\x1b[24;80R", b"\x1b[?62c", b"\x1b]lr\x1b\\", b"\x1bOA"])
def test_what_a_terminal_says_is_no_answer(reply: bytes) -> None:
    """Nor is anything that comes right behind it, or was typed before."""
    dialog = ready()
    assert dialog.keys(b"o", 1.0) is None
    assert dialog.keys(reply, 1.0) is None
    assert dialog.keys(b"\r", 1.0) is None
    assert dialog.keys(b"o\r", 1.0) is None
    assert dialog.wait(1.0 + STILL)
    assert NO == dialog.keys(b"\r", 3.0)


def test_to_ask_again_is_to_begin_anew() -> None:
    """With the reason on the screen, and nothing typed yet."""
    dialog = ready()
    dialog.keys(b"a", 1.0)
    dialog.again("That cannot be stored.", 1.0)
    assert dialog.keys(b"\r", 1.1) is None
    assert dialog.wait(5.0)
    lines = dialog.lines(24, 80)
    assert lines is not None
    assert ["That cannot be stored.", PROMPT] == lines[-2:]


def test_it_says_what_is_asked() -> None:
    """Who, where, for what, how many, and until when."""
    text = "\n".join(question_lines(ASKED))
    for part in (
        "fix-login (dc1eh6tndp)",
        "    https://api.example.com:8443\n",
        "POST https://api.example.com:8443/v1/things?token=***",
        "2 more requests wait",
        "refused after 120 s",
    ):
        assert part in text
    assert "YOUR MACHINE" not in text
    assert "YOUR MACHINE OR YOUR NETWORK" in "\n".join(question_lines(ASKED._replace(inside=True)))


@pytest.mark.parametrize("columns", [60, 80, 300])
def test_the_host_is_shown_whole(columns: int) -> None:
    """However long: its end says whose it is. All else is cut to the width."""
    host = "api.openai.com." + ".".join(["a" * 60] * 3) + ".evil.example"
    asked = ASKED._replace(destination=f"https://{host}", host=host, url="https://" + "x" * 900)
    lines = question_lines(asked, columns)
    assert f"https://{host}" in "".join(line.strip() for line in lines)
    assert max(map(len, lines)) <= columns


def test_it_fits_the_window_or_is_not_shown() -> None:
    """Empty lines go first; none of the others is left out."""
    dialog = ready()
    whole, tight = dialog.lines(24, 80), dialog.lines(15, 80)
    assert whole is not None
    assert tight is not None
    assert [line for line in whole if line] == tight
    assert len(tight) <= 15 < len(whole) <= 24
    assert dialog.lines(8, 80) is None
    assert dialog.lines(24, 30) is None
