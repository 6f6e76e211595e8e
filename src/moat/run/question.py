"""A question to the person at the terminal: how it reads, and how keys become an answer. Pure.

Whoever asks must not be answered by somebody else, or by chance: keys count only once the
keyboard has been still for a moment with the question on the screen. What was typed for the
agent, and what a terminal says by itself because the agent has asked it to, comes before that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# Seconds without a key before keys count.
STILL = 0.6
_LONGEST = 12  # characters of an answer; no word of one is longer


class Asked(NamedTuple):
    """A question as the run puts it. All of its texts are printable ASCII."""

    id: int
    destination: str
    host: str
    inside: bool
    method: str
    url: str
    waiting: int
    run: str
    name: str | None
    timeout: float

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Asked:
        """From a message of the run. Raises KeyError or ValueError."""
        return cls(
            id=int(said["id"]),
            destination=str(said["destination"]),
            host=str(said["host"]),
            inside=bool(said["inside"]),
            method=str(said["method"]),
            url=str(said["url"]),
            waiting=int(said["waiting"]),
            run=str(said["run"]),
            name=said["name"] and str(said["name"]),
            timeout=float(said["timeout"]),
        )


class Answer(NamedTuple):
    """What becomes of a question, and how far that reaches: once, run, always, or the rest.

    `action` is allow, deny, or later where somebody else is to answer.
    """

    action: str
    extent: str

    def done(self, asked: Asked) -> str:
        """What was done, as a sentence for the person."""
        if self.extent == "rest":
            return "refused, as everything else that would be asked in this run"
        word = {"allow": "allowed", "deny": "refused"}[self.action]
        if self.extent == "once":
            what = f"{asked.method} {asked.destination}" if self.action == "allow" else asked.host
            return f"{what} is {word} this once"
        return f"{asked.host} is {word} {'always' if self.extent == 'always' else 'for this run'}"


NO = Answer("deny", "once")
LATER = Answer("later", "once")
ALWAYS = Answer("allow", "always")
_ANSWERS = {
    "": NO,
    "n": NO,
    "no": NO,
    "o": Answer("allow", "once"),
    "once": Answer("allow", "once"),
    "r": Answer("allow", "run"),
    "run": Answer("allow", "run"),
    "a": ALWAYS,
    "always": ALWAYS,
    "d": Answer("deny", "run"),
    "deny": Answer("deny", "run"),
    "q": Answer("deny", "rest"),
}
PROMPT = "o, r, a, n, d or q, then Enter: "
UNKNOWN = "That is none of them."


def find_answer(text: str) -> Answer | None:
    """The answer a text is; nothing at all is a no."""
    return _ANSWERS.get(text.strip().lower())


def question_lines(asked: Asked, columns: int = 80) -> list[str]:
    """A question, a line each, of at most so many columns; empty ones may be left out."""
    who = f"{asked.name} ({asked.run})" if asked.name else asked.run
    more = "request waits" if asked.waiting == 2 else "requests wait"
    lines = [
        f"moat: run {who} asks to reach",
        "",
        *(f"    {line}" for line in _pieces(asked.destination, columns - 4)),
        *(["    THIS IS ON YOUR MACHINE OR YOUR NETWORK"] if asked.inside else []),
        "",
        _cut(f"for {asked.method} {asked.url}", columns),
        *([f"{asked.waiting - 1} more {more} for it"] if asked.waiting > 1 else []),
        "",
        "  o  allow this request, once",
        "  r  allow this host and port for this run",
        "  a  allow this host and port always",
        "  n  refuse it now (so does Enter alone)",
        "  d  refuse this host and port for this run",
        "  q  refuse it, and whatever else would be asked in this run",
        "",
        f"Without an answer it is refused after {asked.timeout:g} s.",
    ]
    return [_cut(line, columns) for line in lines]


def _pieces(text: str, width: int) -> list[str]:
    """All of a text: the end of a name says whose it is."""
    width = max(1, width)
    return [text[at : at + width] for at in range(0, len(text), width)]


def _cut(line: str, columns: int) -> str:
    return line if len(line) <= columns else line[: max(0, columns - 3)] + "..."


class Dialog:
    """One question, from the moment it is shown to its answer. Times are the caller's clock."""

    def __init__(self, asked: Asked, now: float) -> None:
        self.asked = asked
        self.note = ""
        self._typed = ""
        self._still_at: float | None = now + STILL  # None: keys count

    def lines(self, rows: int, columns: int) -> list[str] | None:
        """The screen: the last line is what is typed at. None where it does not fit."""
        lines = [*question_lines(self.asked, columns), _cut(self.note, columns)]
        lines.append("" if self._still_at is not None else PROMPT + self._typed)
        if len(lines) > rows:
            lines = [*filter(None, lines[:-1]), lines[-1]]
        return lines if len(lines) <= rows and columns > len(PROMPT) + _LONGEST else None

    def remaining(self, now: float) -> float | None:
        """Seconds until keys may count; None when they do."""
        return None if self._still_at is None else max(0.0, self._still_at - now)

    def wait(self, now: float) -> bool:
        """No key came until now; True if keys count from now on, and none that came before."""
        if self._still_at is None or now < self._still_at:
            return False
        self._still_at = None
        return True

    def again(self, note: str, now: float) -> None:
        """Ask once more, and say why."""
        self.note = note
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._typed = ""
        self._still_at = now + STILL

    def keys(self, data: bytes, now: float) -> Answer | None:
        """Keys came; the answer, if that is what they make."""
        if self._still_at is not None or b"\x1b" in data:
            # Not for us; the second is a special key, or the terminal's own word.
            self._begin(now)
            return None
        for key in data.decode("latin-1"):
            if key in "\x03\x04":  # Ctrl-C, Ctrl-D
                return NO
            if key in "\r\n":
                if (answer := find_answer(self._typed)) is not None:
                    return answer
                self._typed, self.note = "", UNKNOWN
            elif key in "\x7f\b":
                self._typed = self._typed[:-1]
            elif " " <= key <= "~" and len(self._typed) < _LONGEST:
                self._typed += key
        return None
