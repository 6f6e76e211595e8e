"""One connection as a stream of bytes, on both event loops, TLS or not."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from moat.proxy import wire
from moat.proxy.wire import HIGH_WATER, Wire, WireClosed
from proxy.conftest import Certificates
from proxy.support import API

Run = Callable[[Callable[[], Awaitable[None]]], None]
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on one loop and the other."""

    def run(function: Callable[[], Awaitable[None]]) -> None:
        async def limited() -> None:
            async with asyncio.timeout(20):
                await function()

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(limited())

    return run


class Lost:
    """Counts how often a wire was lost."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _: Wire) -> None:
        self.count += 1


@asynccontextmanager
async def pair(
    certificates: Certificates | None = None,
    *,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    lost: Lost | None = None,
) -> AsyncIterator[tuple[Wire, Wire]]:
    """A server's and a client's wire that are connected, with TLS if there are certificates."""
    loop = asyncio.get_running_loop()
    made: list[Wire] = []

    def make() -> Wire:
        made.append(Wire(lost))
        return made[0]

    server = await loop.create_server(make, "127.0.0.1", 0)
    _, client = await loop.create_connection(Wire, *server.sockets[0].getsockname())
    while not made:
        await asyncio.sleep(0.001)
    try:
        if certificates is not None:
            context = ssl.create_default_context(cadata=certificates.authority.pem.decode())
            context.maximum_version = version
            await asyncio.gather(
                client.start_tls(context, server_side=False, server_hostname=API),
                made[0].start_tls(certificates.leaves.context_for(API), server_side=True),
            )
        yield made[0], client
    finally:
        for each in (client, *made):
            each.abort()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)


async def send(sink: Wire, data: bytes, piece: int) -> None:
    for start in range(0, len(data), piece):
        await sink.drain()
        sink.write(data[start : start + piece])


async def receive(source: Wire, size: int, most: int | None = None) -> bytes:
    got = bytearray()
    while len(got) < size:
        if not source.buffer:
            assert await source.fill(), f"ended at {len(got)}"
        got += source.take(most)
    return bytes(got)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, None])
@pytest.mark.parametrize(("piece", "most"), [(1000, None), (5_000_000, 70_000), (300_000, 999)])
def test_bytes_go_both_ways_at_once_in_order(
    run: Run,
    certificates: Certificates,
    version: ssl.TLSVersion | None,
    piece: int,
    most: int | None,
) -> None:
    """However they are cut, whoever is slower: no byte lost, and nobody waits for ever."""
    up = b"".join(number.to_bytes(4) for number in range(600_000))
    down = up[::-1]

    async def check() -> None:
        tls = {} if version is None else {"version": version}
        async with pair(None if version is None else certificates, **tls) as (server, client):
            results = await asyncio.gather(
                send(client, up, piece),
                send(server, down, piece),
                receive(server, len(up), most),
                receive(client, len(down), most),
            )
            assert results[2:] == [up, down]

    run(check)


@pytest.mark.parametrize("tls", [False, True])
def test_who_does_not_read_is_not_buffered_for(
    run: Run, certificates: Certificates, tls: bool
) -> None:
    """The reader's buffer stays near the high-water mark, and the writer comes to wait."""

    async def check() -> None:
        async with pair(certificates if tls else None) as (server, client):
            task = asyncio.create_task(send(client, bytes(64 << 20), 1 << 16))
            await asyncio.sleep(0.5)
            assert not task.done()
            assert HIGH_WATER <= len(server.buffer) <= 3 * HIGH_WATER
            task.cancel()

    run(check)


@pytest.mark.parametrize("tls", [False, True])
def test_an_end_is_told_and_leaves_the_other_direction_open(
    run: Run, certificates: Certificates, tls: bool
) -> None:
    """What ended in order is no cut, and the other side may go on."""

    async def check() -> None:
        lost = Lost()
        async with pair(certificates if tls else None, lost=lost) as (server, client):
            client.write(b"bye")
            client.end()
            assert await receive(server, 3) == b"bye"
            assert not await server.fill()
            assert (server.ended, server.cut, lost.count) == (True, False, 0)
            server.write(b"still here")
            assert await receive(client, 10) == b"still here"
            server.end()
            assert not await client.fill()
            assert not client.cut

    run(check)


@pytest.mark.parametrize("how", ["abort", "fin"])
def test_a_cut_is_told_from_an_end(run: Run, certificates: Certificates, how: str) -> None:
    """Without close_notify the end was not said: reset or FIN, it is a cut, and told once."""

    async def check() -> None:
        lost = Lost()
        async with pair(certificates, lost=lost) as (server, client):
            client.write(b"half")
            assert await receive(server, 4) == b"half"
            if how == "abort":
                client.abort()
            else:
                assert client._transport is not None
                client._transport.write_eof()
            assert not await server.fill()
            assert (server.ended, server.cut) == (True, True)
            server.abort()
            await asyncio.sleep(0.05)
            assert lost.count == 1

    run(check)


def test_a_reset_without_tls_is_a_cut(run: Run) -> None:
    """An end without TLS is an end; a reset is not."""

    async def check() -> None:
        async with pair() as (server, client):
            assert client._transport is not None
            sock = client._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.abort()
            assert not await server.fill()
            assert server.cut

    run(check)


def test_garbage_inside_tls_is_a_cut(run: Run, certificates: Certificates) -> None:
    """Bytes that are no record end the connection, and what follows is not kept."""

    async def check() -> None:
        lost = Lost()
        async with pair(certificates, lost=lost) as (server, client):
            assert client._transport is not None
            client._transport.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            assert not await server.fill()
            assert (server.cut, lost.count) == (True, 1)
            client._transport.write(b"x" * 1_000_000)
            await asyncio.sleep(0.1)
            assert server._incoming.pending < 100

    run(check)


def test_nothing_counts_after_the_end(run: Run, certificates: Certificates) -> None:
    """Bytes after close_notify are dropped, and take no memory."""

    async def check() -> None:
        async with pair(certificates) as (server, client):
            client.end()
            assert not await server.fill()
            assert client._transport is not None
            client._transport.write(b"\x17\x03\x03\x40\x00" * 200_000)
            await asyncio.sleep(0.1)
            assert server._incoming.pending == 0
            assert server.buffer == b""
            assert not server.cut

    run(check)


def test_ending_one_direction_keeps_what_comes_on_the_other(
    run: Run, certificates: Certificates
) -> None:
    """Also when so much has come that OpenSSL still holds some of it."""

    async def check() -> None:
        async with pair(certificates) as (server, client):
            data = bytes(range(256)) * 8192
            task = asyncio.create_task(send(client, data, 1 << 18))
            while len(server.buffer) < HIGH_WATER:
                await asyncio.sleep(0.001)
            server.end()
            assert not await client.fill()
            assert await receive(server, len(data), 1000) == data
            await task
            client.end()
            assert not await server.fill()
            assert not server.cut

    run(check)


def test_a_waiting_reader_and_writer_learn_of_a_loss(run: Run, certificates: Certificates) -> None:
    """Nobody waits for what will not come."""

    async def check() -> None:
        async with pair(certificates) as (server, client):
            reading = asyncio.create_task(server.fill())
            writing = asyncio.create_task(send(server, bytes(64 << 20), 1 << 16))
            await asyncio.sleep(0.2)
            assert not reading.done()
            assert not writing.done()
            client.abort()
            assert not await reading
            with pytest.raises(WireClosed):
                await writing
            assert server.lost
            with pytest.raises(WireClosed):
                server.write(b"x")

    run(check)


def test_nothing_happens_to_a_wire_that_is_closed(run: Run, certificates: Certificates) -> None:
    """Taking, ending and closing after an abort do no harm, whatever was paused."""

    async def check() -> None:
        async with pair(certificates) as (server, client):
            task = asyncio.create_task(send(client, bytes(8 << 20), 1 << 18))
            while len(server.buffer) < HIGH_WATER:
                await asyncio.sleep(0.001)
            server.abort()
            while server.buffer:
                server.take(1000)
            server.end()
            server.close()
            server.abort()
            await server.finish()
            task.cancel()

    run(check)


# the end of a conversation


@pytest.mark.parametrize("tls", [False, True])
def test_finishing_waits_for_who_still_sends(
    run: Run, certificates: Certificates, tls: bool
) -> None:
    """Our last words are read by a client that was still sending, and no reset takes them."""

    async def check() -> None:
        async with pair(certificates if tls else None) as (server, client):
            task = asyncio.create_task(send(client, bytes(4 << 20), 1 << 16))
            assert await server.fill()
            server.write(b"enough")
            done = asyncio.create_task(server.finish())
            await task
            assert await receive(client, 6) == b"enough"
            assert not await client.fill()
            assert not client.cut
            assert not done.done()
            client.close()
            await done

    run(check)


@pytest.mark.parametrize("tls", [False, True])
def test_finishing_waits_for_who_reads_slowly(
    run: Run, certificates: Certificates, tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that was written arrives, also long after the other side has gone silent."""
    monkeypatch.setattr(wire, "_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(wire, "_LINGER_SECONDS", 0.05)

    async def check() -> None:
        async with pair(certificates if tls else None) as (server, client):
            server.write(bytes(32 << 20))
            done = asyncio.create_task(server.finish())
            await asyncio.sleep(0.4)
            assert not done.done()
            assert len(await receive(client, 32 << 20)) == 32 << 20
            assert not await client.fill()
            assert not client.cut
            await done

    run(check)


@pytest.mark.parametrize("tls", [False, True])
def test_finishing_waits_for_who_has_ended_but_still_reads(
    run: Run, certificates: Certificates, tls: bool
) -> None:
    """It is over when all has been sent, to the last byte, and not before."""

    async def check() -> None:
        async with pair(certificates if tls else None) as (server, client):
            client.end()
            assert not await server.fill()
            client._transport.pause_reading()
            size = 0
            while not server._unsent:
                server.write(bytes(1 << 14))
                size += 1 << 14
                await asyncio.sleep(0.001)
            done = asyncio.create_task(server.finish())
            await asyncio.sleep(0.1)
            assert not done.done()
            client._transport.resume_reading()
            assert len(await receive(client, size)) == size
            assert not await client.fill()
            assert not client.cut
            await done

    run(check)


def test_finishing_goes_on_reading_while_it_sends(
    run: Run, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that was silent, and then sends everything before it reads, is not stuck."""
    monkeypatch.setattr(wire, "_PAUSE_SECONDS", 0.05)

    async def check() -> None:
        async with pair(certificates) as (server, client):
            client._transport.pause_reading()
            server.write(bytes(32 << 20))
            done = asyncio.create_task(server.finish())
            await asyncio.sleep(0.2)
            await send(client, bytes(16 << 20), 1 << 16)
            client._transport.resume_reading()
            assert len(await receive(client, 32 << 20)) == 32 << 20
            client.close()
            await done

    run(check)


@pytest.mark.parametrize("sends", [False, True])
def test_finishing_does_not_wait_for_ever(
    run: Run, certificates: Certificates, sends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for a silent client nor for one that never stops sending."""
    monkeypatch.setattr(wire, "_PAUSE_SECONDS", 0.1 if not sends else 5)
    monkeypatch.setattr(wire, "_LINGER_SECONDS", 0.1 if sends else 5)

    async def check() -> None:
        async with pair(certificates) as (server, client):

            async def pour() -> None:
                while True:
                    await client.drain()
                    client.write(b"x" * 1000)
                    await asyncio.sleep(0.001)

            task = asyncio.create_task(pour()) if sends else None
            server.write(b"enough")
            async with asyncio.timeout(2):
                await server.finish()
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    run(check)


# handshakes


def test_a_handshake_may_begin_with_bytes_already_read(
    run: Run, certificates: Certificates
) -> None:
    """However many came before TLS was wanted."""

    async def check() -> None:
        async with pair() as (server, client):
            context = ssl.create_default_context(cadata=certificates.authority.pem.decode())
            task = asyncio.create_task(
                client.start_tls(context, server_side=False, server_hostname=API)
            )
            assert await server.fill()
            await server.start_tls(certificates.leaves.context_for(API), server_side=True)
            await task
            client.write(b"hello")
            assert await receive(server, 5) == b"hello"

    run(check)


def test_data_that_comes_with_the_last_of_a_handshake_is_there(
    run: Run, certificates: Certificates
) -> None:
    """A client that writes at once is read at once."""

    async def check() -> None:
        async with pair() as (server, client):
            context = ssl.create_default_context(cadata=certificates.authority.pem.decode())

            async def ask() -> None:
                await client.start_tls(context, server_side=False, server_hostname=API)
                client.write(b"hello")
                client.end()

            task = asyncio.create_task(ask())
            await server.start_tls(certificates.leaves.context_for(API), server_side=True)
            assert await receive(server, 5) == b"hello"
            assert not await server.fill()
            assert not server.cut
            await task

    run(check)


@pytest.mark.parametrize("how", ["abort", "end", "garbage", "flood"])
def test_a_handshake_that_fails_raises(run: Run, certificates: Certificates, how: str) -> None:
    """The other side gone, or speaking something else: WireClosed or ssl.SSLError, no hanging."""

    async def check() -> None:
        async with pair() as (server, client):
            task = asyncio.create_task(
                server.start_tls(certificates.leaves.context_for(API), server_side=True)
            )
            await asyncio.sleep(0.01)
            if how == "abort":
                client.abort()
            elif how == "end":
                client.write(b"\x16\x03\x01")
                client.end()
            else:
                client.write(b"\x16\x03\x01" if how == "flood" else b"GET / HTTP/1.1\r\n\r\n")
                client.write(b"\xff" * (5 << 20 if how == "flood" else 10))
            with pytest.raises((WireClosed, ssl.SSLError)):
                await task
            with pytest.raises(WireClosed):
                server.write(b"x")
            server.close()

    run(check)


def test_an_alert_of_a_failed_handshake_arrives(run: Run, certificates: Certificates) -> None:
    """Who does not trust us is told apart from who is not there."""

    async def check() -> None:
        async with pair() as (server, client):
            context = ssl.create_default_context(cadata=certificates.authority.pem.decode())
            task = asyncio.create_task(
                client.start_tls(context, server_side=False, server_hostname="other.example")
            )
            with pytest.raises(ssl.SSLError):
                await server.start_tls(certificates.leaves.context_for(API), server_side=True)
            server.close()
            with pytest.raises(ssl.SSLError, match="unrecognized name"):
                await task

    run(check)
