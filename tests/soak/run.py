"""One soak: clients in three stretches with a rest behind each, and what must hold then."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.process import free_port
from tests.soak import places
from tests.soak.book import Book, Scanner
from tests.soak.clients import PIECES, Field
from tests.soak.scenes import SCENES, Player, scenes
from tests.soak.servers import OnlyH2, Upstream

from moat.ledger.trace import read_trace
from moat.pki.ca import ensure_authority
from moat.pki.leaf import LeafCache
from proxy.h2_support import server_context

ROOT = Path(__file__).parent.parent.parent

# Between two rests everything that was made for a request must be gone. What stays grows only
# until it is full: tables of what is known of hosts and headers (a thousand entries or so each),
# compiled expressions; in malloc, the pages that SQLite keeps (2 MB) and the tables themselves.
# One object a request is found all the same.
BLOCKS = 3000
BLOCKS_AN_EXCHANGE = 0.5
MALLOC = 3 << 20
# What was in flight at the worst moment may never go back: `settle_memory` lets malloc keep
# 32 MiB at the end of its heap, and a heap with one live piece near its end does not shrink.
RESIDENT = 48 << 20
# What is forgotten and not closed, the garbage collector closes, and says so.
_WARNING = ("-W", "always::ResourceWarning")
# Complaints after which nobody wants to know more.
ENOUGH = 200


@dataclass(frozen=True)
class Told:
    """What came of a soak: how much there was, and what was wrong, each with the check that
    found it."""

    exchanges: int
    scenes: int
    looks: list[dict[str, Any]]
    complaints: list[tuple[str, str]]


class Hung(Exception):
    """The proxy says nothing any more."""


class Proxy:
    """The process of the proxy, which is told what to do."""

    def __init__(self, place: Path, ports: tuple[int, int]) -> None:
        self.port = free_port()
        self._lock = threading.Lock()
        self.log = place / "log"
        command = [sys.executable, *_WARNING, "-m", "tests.soak.proxy", str(place), str(self.port)]
        self._errors = self.log.open("wb")
        self._process = subprocess.Popen(
            [*command, *map(str, ports)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.start: dict[str, Any] = self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], places.PATIENCE)[0]:
            self._process.send_signal(signal.SIGABRT)  # where it is then stands in its log
            self._process.wait(places.PATIENCE)
            raise Hung(self.log.read_text()[-3000:])
        line = self._process.stdout.readline()
        if not line:
            raise Hung(f"it has ended: {self.log.read_text()[-3000:]}")
        return json.loads(line)

    def tell(self, line: str) -> Any:
        """Let it do something; what it answers."""
        with self._lock:
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(line.encode() + b"\n")
            except OSError:
                raise Hung(f"it has ended: {self.log.read_text()[-3000:]}") from None
            return self._answer()

    def end(self) -> list[str]:
        """Let it end; the tasks that were left."""
        self.tell("end")
        left: list[str] = self._answer()
        self._process.wait(places.PATIENCE)
        return left

    def close(self) -> None:
        """End it whatever it does."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def field(place: Path, book: Book) -> Iterator[tuple[Proxy, Upstream, OnlyH2]]:
    """A proxy with its upstreams; all ends with the block."""
    world = ensure_authority(place / "world")
    ensure_authority(place / "ca")
    (place / "world.pem").write_bytes(world.pem)
    (place / "moat.pem").write_bytes(ensure_authority(place / "ca").pem)
    (place / "ledger").mkdir()
    upstream = Upstream(LeafCache(world), book)
    only_h2 = OnlyH2(server_context(world, "h2"), book)
    proxy = Proxy(place, (upstream.port, only_h2.port))
    try:
        yield proxy, upstream, only_h2
    finally:
        proxy.close()
        upstream.close()
        only_h2.close()


class Soak:
    """A soak of `seconds`, and of `least` scenes; `faults` are planted."""

    def __init__(
        self,
        place: Path,
        *,
        seed: int,
        seconds: float,
        clients: int = 6,
        faults: Sequence[str] = (),
        least: int = len(SCENES),
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._place = place
        self._seed = seed
        self._seconds = seconds
        self._clients = clients
        self._faults = faults
        self._least = least
        self._say = say
        self._book = Book()
        self._scenes = 0

    def run(self) -> Told:
        """Do it."""
        looks: list[dict[str, Any]] = []
        try:
            self._play(looks)
        except Hung as hung:
            self._book.complain("hang", f"the proxy does not answer: {hung}")
        exchanges = looks[-1]["exchanges"] if looks else 0
        return Told(exchanges, self._scenes, looks, self._book.complaints)

    def _play(self, looks: list[dict[str, Any]]) -> None:
        book = self._book
        with field(self._place, book) as (proxy, upstream, only_h2):
            shared = Field(book, proxy.port, self._place / "moat.pem", proxy.tell)
            plays = [
                scenes(random.Random(f"{self._seed} {number}")) for number in range(self._clients)
            ]
            for stretch in range(3):
                if stretch == 1:
                    for fault in {*self._faults} - {"deaf"}:
                        proxy.tell(f"plant {fault}")
                    if self._faults:
                        Player(shared, "").play("told_elsewhere")
                self._stretch(shared, plays, stretch)
                upstream.hang_up()
                only_h2.hang_up()
                looks.append(self._rest(proxy))
                self._say(f"stretch {stretch + 1}: {summary(looks[-1])}")
            self._compare_memory(*looks[1:])
            if "deaf" in self._faults:
                proxy.tell("plant deaf")
            for scene in ("small", "streams", "websocket", "telling"):
                self._still_serves(shared, scene)
            if len(left := proxy.end()) > 1:  # the one that asks
                book.complain("task", f"left at the end: {left}")
            self._read_what_is_written(proxy)

    def _stretch(self, shared: Field, plays: list[Iterator[str]], stretch: int) -> None:
        until = time.monotonic() + self._seconds / 3
        # The first scenes are one of each kind, whatever the time: a short soak is a whole one.
        least = self._clients if stretch else self._least

        def client(number: int) -> None:
            played = 0
            while played < least / self._clients or time.monotonic() < until:
                if len(self._book.complaints) > ENOUGH:
                    return
                scene = next(plays[number])
                Player(shared, f"{self._seed} {stretch} {number} {played}").play(scene)
                played += 1
                self._scenes += 1

        threads = [
            threading.Thread(target=client, args=(number,), daemon=True)
            for number in range(self._clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(self._seconds + 4 * places.PATIENCE)
            if thread.is_alive():
                self._book.complain("hang", "a client waits for ever")

    def _rest(self, proxy: Proxy) -> dict[str, Any]:
        """What the proxy holds once nothing goes on; a complaint where that never comes."""
        until = time.monotonic() + (2.0 if self._faults else places.PATIENCE)
        while True:
            look: dict[str, Any] = proxy.tell("look")
            more = {
                name: Counter(look[name]) - Counter(proxy.start[name]) for name in ("tasks", "fds")
            }
            held = {name: look[name] for name in ("live", "streams") if look[name]}
            if not any(more.values()) and not held:
                return look
            # Closing in order takes seconds: who was cut off has time to read why.
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        for name, check in (("tasks", "task"), ("fds", "descriptor")):
            if more[name]:
                self._book.complain(check, f"left over: {dict(more[name])}")
        if held:
            self._book.complain("live", f"looked after, though nothing goes on: {held}")
        return look

    def _compare_memory(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        exchanges = after["exchanges"] - before["exchanges"]
        blocks = max(BLOCKS, int(BLOCKS_AN_EXCHANGE * exchanges))
        for name, most in (("blocks", blocks), ("malloc", MALLOC), ("resident", RESIDENT)):
            grown = after[name] - before[name]
            if grown > most:
                self._book.complain(
                    "memory", f"{name} grew by {grown} in {exchanges} exchanges, not {most} at most"
                )

    def _still_serves(self, shared: Field, scene: str) -> None:
        before = len(self._book.complaints)
        Player(shared, f"{self._seed} end {scene}").play(scene)
        for check, what in self._book.complaints[before:]:
            if check == "client":
                self._book.complain("serves", f"no more: {what}")

    def _read_what_is_written(self, proxy: Proxy) -> None:
        book = self._book
        for check, what in book.compare(read_trace(self._place / "ledger" / "trace.db")):
            book.complain(check, what)
        for file in sorted([*(self._place / "ledger").iterdir(), proxy.log]):
            if name := Scanner(PIECES).look(file.read_bytes()):
                book.complain("written", f"{file.name} holds a piece of the secret, {name}")
        said = proxy.log.read_text()
        if "ResourceWarning" in said:
            book.complain("forgotten", "connections were forgotten and not closed")
        if said:
            book.complain("log", f"something unforeseen: {said[-2000:]}")


def summary(look: dict[str, Any]) -> str:
    """What the proxy holds, on one line."""
    mib = 1 << 20
    return (
        f"{look['exchanges']} exchanges, {len(look['tasks'])} tasks, {len(look['fds'])} "
        f"descriptors, {look['blocks']} blocks, {look['malloc'] / mib:.1f} MiB held, "
        f"{look['resident'] / mib:.1f} MiB resident"
    )
