"""What was asked and seen in a soak, as all its threads write it down; and what it complains of."""

from __future__ import annotations

import base64
import itertools
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_LONG = 8
"""Bytes of a secret that are told from chance: twice as many in a row are found wherever they
begin."""
_MARK = re.compile(r"/s/\d+|soak\d+\.|files\.example\.com:\d+")


def mark_in(url: str) -> str | None:
    """What tells which request a URL was of."""
    found = _MARK.search(url)
    return found[0] if found else None


def spellings(secret: str) -> dict[str, bytes]:
    """A secret as a server may quote it."""
    raw = secret.encode()
    found = {
        "raw": raw,
        "percent": b"".join([b"%%%02X" % byte for byte in raw]),
        "small percent": b"".join([b"%%%02x" % byte for byte in raw]),
        "JSON": b"".join([b"\\u%04x" % byte for byte in raw]),
        "hex": raw.hex().encode(),
    }
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + raw)
        found[f"base64 {offset}"] = coded
        found[f"base64url {offset}"] = coded.translate(bytes.maketrans(b"+/", b"-_"))
    return found


def pieces_of(secret: str) -> dict[bytes, str]:
    """What must not be met: of each spelling, pieces of `_LONG` characters side by side."""
    found = {}
    for name, text in spellings(secret).items():
        # In an escape each character takes several bytes.
        size = _LONG * (1 if "base64" in name else len(text) // len(secret))
        # The ends of base64 are shared with what stands beside it.
        inner = text[4:-4] if "base64" in name else text
        for start in range(0, len(inner) - size + 1, size):
            found[inner[start : start + size]] = name
    return found


class Scanner:
    """Looks for pieces of a secret in a stream of bytes, over any boundary."""

    def __init__(self, pieces: dict[bytes, str]) -> None:
        self._pieces = pieces
        self._longest = max(map(len, pieces))
        self._before = b""

    def look(self, data: bytes) -> str | None:
        """In which spelling a piece stands in these, the next bytes; None if in none."""
        text = self._before + data
        self._before = text[-self._longest + 1 :]
        return next((name for piece, name in self._pieces.items() if text.find(piece) >= 0), None)


@dataclass
class Ask:
    """A request. `outcomes` and `status` are what its record may say, if that is certain; `told`
    says that it is known to have reached the proxy, so that there must be a record."""

    mark: str
    kind: str
    outcomes: tuple[str, ...] = ()
    status: int | None = None
    told: bool = False


class Book:
    """Everything that was asked, by its mark. All methods may be called by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self.asks: dict[str, Ask] = {}
        self.strangers = 0
        """Requests that did not show the token."""
        self.empty = 0
        """Tunnels to the API through which no request came."""
        self.perhaps_empty = 0
        """Those whose request may have been lost to a reset on its way."""
        self.complaints: list[tuple[str, str]] = []

    def number(self) -> int:
        """One that nobody else has."""
        return next(self._numbers)

    def ask(self, mark: str, kind: str) -> Ask:
        """Note what is going to be asked."""
        ask = Ask(mark, kind)
        with self._lock:
            self.asks[mark] = ask
        return ask

    def reached(self, path: str) -> None:
        """An upstream has seen a request."""
        mark = mark_in(path)
        if mark is None or mark not in self.asks:
            self.complain("upstream", f"was asked for what nobody asked: {path[:80]}")
        else:
            self.asks[mark].told = True

    def turned_away(self) -> None:
        """Somebody without a token was."""
        with self._lock:
            self.strangers += 1

    def asked_nothing(self, *, perhaps: bool = False) -> None:
        """A tunnel has no request in it, or may have none."""
        with self._lock:
            self.empty += not perhaps
            self.perhaps_empty += perhaps

    def complain(self, check: str, what: str) -> None:
        """Something is not as it must be."""
        with self._lock:
            self.complaints.append((check, what))

    def compare(self, rows: list[dict[str, object]]) -> Iterator[tuple[str, str]]:
        """What is wrong with the records of all exchanges, taken together."""
        marks = Counter(mark_in(str(row["url"])) for row in rows)
        for mark, ask in self.asks.items():
            if ask.told and not marks[mark]:
                yield "missing", f"no record of {ask.kind} {mark}"
            if marks[mark] > 1:
                yield "twice", f"{marks[mark]} records of {ask.kind} {mark}"
        refused = sum(row["status"] == 407 for row in rows)
        # MAX_ROWS of moat.proxy.token.
        if refused != min(self.strangers, 20):
            yield "missing", f"{refused} records for {self.strangers} requests without the token"
        empty = sum(_is_empty(row) for row in rows)
        if not self.empty <= empty <= self.empty + self.perhaps_empty:
            yield "missing", f"{empty} records for {self.empty} tunnels without a request"
        for row in rows:
            yield from self._judge(row)

    def _judge(self, row: dict[str, object]) -> Iterator[tuple[str, str]]:
        said = f"{row['method']} {row['url']} {row['outcome']} {row['status']} {row['error']}"
        if row["outcome"] == "open":
            yield "open", f"never ended: {said}"
            return
        mark = mark_in(str(row["url"]))
        ask = self.asks.get(mark) if mark else None
        if ask is None:
            if row["status"] != 407 and not _is_empty(row):
                yield "record", f"of what nobody asked: {said}"
        elif ask.outcomes and row["outcome"] not in ask.outcomes:
            yield "record", f"{ask.kind} ended as {said}, not {ask.outcomes}"
        elif ask.status is not None and row["status"] != ask.status:
            yield "record", f"{ask.kind} was answered {ask.status}, and recorded {said}"


def _is_empty(row: dict[str, object]) -> bool:
    return (
        row["method"] == "CONNECT" and row["outcome"] == "failed" and not mark_in(str(row["url"]))
    )
