"""Whatever a client or a server says: what goes on means what it was judged to mean."""

from __future__ import annotations

from random import Random

from fuzz import http, readers, strict
from fuzz.cases import bitten, cut, noted, try_all
from fuzz.memory import API, CUT, END, KEY, Told, converse

CONNECT = b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n"
AUTH = [b"Bearer " + KEY.encode()]
HOPS = (b"connection", b"keep-alive", b"proxy-authorization", b"te", b"upgrade", b"cookie")


def check_sent(told: Told, *, inside: bool) -> None:
    """What went upstream is one request for each that was judged, in order, and no byte more."""
    assert told.fault is None, told.fault
    sent = [strict.requests(data) for data in told.servers]
    opened = [rows for rows in told.rows.values() if rows[0][0].outcome == "open"]
    for line, number in told.order:
        message = sent[line][number]
        while True:
            assert opened, f"a request nobody judged: {message.first}"
            entry, measured = opened.pop(0)[-1]
            path = entry.url.removeprefix(f"{'https' if inside else 'http'}://{API}")
            if (entry.method.encode(), path.encode()) == message.first[:2]:
                break
            assert entry.outcome == "failed", f"never sent: {entry}"
        assert [API.encode()] == message.all(b"host")
        assert not inside or AUTH == message.all(b"authorization")
        upgrade = [b"websocket"] == message.all(b"upgrade")
        assert upgrade or not any(message.all(name) for name in HOPS[:5])
        assert not (inside and message.all(b"cookie"))
        if entry.outcome == "forwarded" and not upgrade:
            assert message.whole
            assert len(message.body) == measured.bytes_up
    for data, messages in zip(told.servers, sent, strict=True):
        if messages and all(m.whole and not m.all(b"upgrade") for m in messages):
            expected = [(*m.first[:2], m.all(b"host"), m.body) for m in messages]
            quirks = readers.disagreement(data, expected)
            assert quirks is None, f"{quirks} reads {data!r} as {readers.read(data, quirks)}"


def check_got(told: Told) -> list[strict.Message]:
    """What the client got is one answer to each request that was recorded, and no byte more."""
    entries = [rows[-1][0] for rows in told.rows.values()]
    asked = ["HEAD" if e.method == "HEAD" and e.verdict else "GET" for e in entries]
    got = strict.responses(told.client, asked)
    finals = [message for message in got if message.first[1] >= b"200" or not message.whole]
    assert len(finals) <= len(entries)
    for message, entry in zip(finals, entries, strict=False):
        if message.whole and entry.outcome != "failed":
            assert b"%d" % (entry.status or 0) == message.first[1]
    return got


def test_requests() -> None:
    """From a client that is set on being misread."""

    async def one(rng: Random) -> None:
        inside = rng.random() < 0.7
        faults = [rng.choice((0, 0, 1, 1, 2)) for _ in range(rng.choice((1, 1, 2, 3)))]
        data = b"".join([http.request(rng, inside=inside, faults=count) for count in faults])
        data = bitten(rng, data, http.TOKENS) if rng.random() < 0.4 else data
        pieces = [CONNECT] * inside + cut(rng, data)
        with noted("the client said", pieces):
            told = await converse(pieces)
            assert not told.errors, told.errors
            check_sent(told, inside=inside)
            check_got(told)
            check_as_said(data, told)

    try_all(one)


def check_as_said(said: bytes, told: Told) -> None:
    """What a strict reader takes from a client, a server has got, as far as any of it went on."""
    try:
        sound = [message for message in strict.requests(said) if message.whole]
    except strict.Unsound:
        return
    sent = [strict.requests(data) for data in told.servers]
    # Where a secret goes, trailers stay behind.
    bodies = [(message.body, trailers) for message in sound for trailers in ([], message.trailers)]
    for line, number in told.order:
        message = sent[line][number]
        if message.whole:
            assert (message.body, message.trailers) in bodies, f"{message} was never said"


def test_answers() -> None:
    """From a server that is set on being misread: what is sound comes, and nothing else."""

    async def one(rng: Random) -> None:
        methods = [rng.choice(("GET", "HEAD", "POST")) for _ in range(rng.choice((1, 2, 3)))]
        asked = [
            f"{method} /{number} HTTP/1.1\r\nHost: {API}\r\n\r\n".encode()
            for number, method in enumerate(methods)
        ]
        answers: list[bytes] = []

        def answer(message: strict.Message) -> list[bytes]:
            data = b"".join(
                [
                    http.answer(rng, faults=rng.choice((0, 1, 1, 2)))
                    for _ in range(rng.choice((1, 1, 2)))
                ]
            )
            data = bitten(rng, data, http.TOKENS) if rng.random() < 0.4 else data
            answers.append(data)
            return [*cut(rng, data), *rng.choice(((), (), (END,), (CUT,)))]

        pieces = [CONNECT, *asked]
        told = await converse(pieces, answer)
        with noted("the server said", answers), noted("the client got", told.client):
            assert not told.errors, told.errors
            check_sent(told, inside=True)
            got = check_got(told)
            check_as_sent(methods, answers, got)

    try_all(one)


def check_as_sent(methods: list[str], answers: list[bytes], got: list[strict.Message]) -> None:
    """What a strict reader takes from a server, the client has got."""
    finals = [message for message in got if message.first[1] >= b"200"]
    for method, said, message in zip(methods, answers, finals, strict=False):
        try:
            (*_, sound) = strict.responses(said, [method])
        except (strict.Unsound, ValueError):
            continue
        if sound.whole and sound.framing != "rest" and message.first[1] != b"502":
            assert (sound.first[1], sound.body) == (message.first[1], message.body)
            assert sound.trailers == message.trailers or sound.framing != "chunked"
