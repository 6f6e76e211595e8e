"""Whatever passes the filter and changes a terminal is undone: measured on the emulated screen."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moat.terminal.filter import Filter
from moat.terminal.harmless import MODES
from moat.terminal.modes import SCREENS, UNDONE, Modes
from moat.terminal.screen import Screen

# What the person's shell has put aside, or set, before there was a run.
BEFORE = b"\x1b[>3u\x1b[>5u\x1b]2;shell\x07\x1b[22;0t\x1b]2;more\x07\x1b[22;2t"


class Keeping(Screen):
    """As some terminals are: more is put aside with the cursor; a soft reset ends wrapping."""

    def _reset(self) -> None:
        super()._reset()
        self._put_aside = {id(side): ({7}, False) for side in (self.main, self.other)}

    def _save(self) -> None:
        super()._save()
        self._put_aside[id(self.side)] = (self.modes & {5, 6, 7}, self.inserts)

    def _fetch(self) -> None:
        super()._fetch()
        modes, self.inserts = self._put_aside[id(self.side)]
        self.modes = self.modes - {5, 6, 7} | modes

    def _soft_reset(self) -> None:
        super()._soft_reset()
        self.modes.discard(7)


def state(screen: Screen) -> tuple[object, ...]:
    """All that what comes next would be shown, or typed, by; not what is drawn."""
    grid = screen.grid
    return (
        screen.side is screen.main, screen.modes, grid.top, grid.bottom, screen.inserts,
        screen.keypad, screen.alphabets, screen.shifted, screen.style, screen.other_keys,
        screen.shape, screen.tabs - {screen.columns - 1},
        screen.main.keyboards, screen.other.keyboards, [kind for kind, _ in screen.titles],
    )  # fmt: skip


def before(kind: type[Screen]) -> Screen:
    screen = kind(6, 40)
    # In both screens, as each has its own.
    screen.feed(BEFORE + b"\x1b[?47h\x1b[>9u\x1b[?47l")
    screen.settle()
    return screen


def after(kind: type[Screen], printed: list[bytes]) -> list[Screen]:
    """The screen after a run, as undone by who filters, and by who reads what was shown."""
    kept, reader, shown = Filter(), Modes(), b""
    for piece in printed:
        passed = kept.feed(piece).shown
        reader.feed(passed)
        shown += passed
    screens = []
    for modes in (kept.modes, reader):
        screens.append(before(kind))
        screens[-1].feed(shown + modes.undo().removeprefix(b"\x18\x1b\\"))
        screens[-1].settle()
    return screens


parameters = st.one_of(
    st.from_regex(rb"[<-?]?0{0,6}[0-9]{0,2}(?:[;:]0{0,3}[0-9]{0,2}){0,3}", fullmatch=True),
    st.lists(st.sampled_from(sorted(MODES | {3, 4, 20, 69, 2048})), max_size=3).map(
        lambda modes: b"?" + b";".join(b"%d" % mode for mode in modes)
    ),
)
sequences = st.one_of(
    st.builds(
        lambda given, between, final: b"\x1b[" + given + between + final,
        parameters,
        st.sampled_from([b""] * 6 + [b" ", b"!", b"$"]),
        st.sampled_from([bytes([final]) for final in b"hlrsugqptmnJT"]),
    ),
    st.sampled_from(
        [b"\x1b7", b"\x1b8", b"\x1bc", b"\x1bH", b"\x1b=", b"\x1b>", b"\x0e", b"\x0f", b"\x1b(0",
         b"\x1b)0", b"\x1b*0", b"\x1b+A", b"\x1bn", b"\x1b~", b"x", b"\t", b"\n", b"\x1b[!p",
         b"\x1b[>1u", b"\x1b[>2u", b"\x1b[<u", b"\x1b[=1u", b"\x1b[22t", b"\x1b[23t",
         b"\x1b[22;2t", b"\x1b[23;2t", b"\x1b[2;3r", b"\x1b[4h", b"\x1b[?6h", b"\x1b[?5h",
         b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?47h", b"\x1b[?47l", b"\x1b[?1047l"]
    ),
)  # fmt: skip


@pytest.mark.attack
@settings(deadline=None, max_examples=600)
@given(st.lists(sequences, max_size=8))
@example([b"\x1b[000001;2r"])
@example([b"\x1b[20r"])
@example([b"\x1b[1;2;3r"])
@example([b"\x1b[<99999u\x1b[23t"])
@example([b"\x1b[?1049h\x1b[?47h\x1b[?1049l\x1b[>1u"])
@example([b"\x1b[?1049h\x1b[>8u\x1b[?1049l"])
@example([b"\x1b[>1u\x1b[<0u"])
@example([b"\x1b[=5u"])
@example([b"\x1b[?5h\x1b7\x1b[?5l\x1b8"])
@example([b"\x1b[4h\x1b[?1049h\x1b[4l"])
@example([b"\x1b[!p"])
@pytest.mark.parametrize("kind", [Screen, Keeping])
def test_what_passes_and_changes_a_mode_is_undone(kind: type[Screen], printed: list[bytes]) -> None:
    """However it is spelled, and by both who follow it; what there was before is there again."""
    expected = state(before(kind))
    for screen in after(kind, printed):
        assert expected == state(screen)


def test_all_modes_that_pass_are_known() -> None:
    """But for the one that puts the cursor aside, and is none."""
    assert {1048} == MODES - UNDONE
    assert SCREENS <= MODES


def test_the_screen_knows_which_keyboards_and_titles_are_a_runs_own() -> None:
    """As the filter counts them: what is restored elsewhere can be taken back there."""
    kept, screen = Filter(), Screen(4, 10)
    for piece in (
        b"\x1b[=3u",
        b"\x1b[>1u" * 9,
        b"\x1b[<2u",
        b"\x1b[22;2t\x1b[22t\x1b[?47h\x1b[=1;2u\x1b[>1u",
        b"\x1b[23;2t",
    ):
        screen.feed(kept.feed(piece).shown)
        screen.settle()
        assert kept.modes.keyboards == len(screen.side.keyboards)
        assert kept.modes.titles == [kind for kind, _ in screen.titles]
    assert [3, 1] == screen.main.keyboards
