"""The supervisor's end of a connection: what is sent goes out, and who is gone is no error."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from moat.run.channel import Client


def play(body: Callable[[Client, socket.socket], Awaitable[None]]) -> None:
    async def begin() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        with theirs:
            client = Client(*await asyncio.open_unix_connection(sock=ours))
            await body(client, theirs)
            client._writer.transport.abort()
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(begin(), 20))


def test_bytes_go_both_ways_to_the_end() -> None:
    """An end that comes is empty."""

    async def body(client: Client, other: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        client.send_nowait(b"there")
        assert b"there" == await loop.sock_recv(other, 100)
        await loop.sock_sendall(other, b"back")
        assert b"back" == await client.receive()
        other.close()
        assert b"" == await client.receive()

    play(body)


def test_what_waits_is_counted_and_drained() -> None:
    """Until the other end reads."""

    async def body(client: Client, other: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        client.send_nowait(bytes(5_000_000))
        assert client.waiting > 1_000_000
        draining = asyncio.create_task(client.drain())
        await asyncio.sleep(0.05)
        assert not draining.done()
        read = 0
        while read < 5_000_000:
            read += len(await loop.sock_recv(other, 1 << 20))
        await draining
        assert 0 == client.waiting

    play(body)


def test_who_is_gone_takes_nothing_and_holds_nobody_up() -> None:
    """Whatever is sent; closing is over at once."""

    async def body(client: Client, other: socket.socket) -> None:
        client.send_nowait(bytes(5_000_000))
        other.close()
        await client.drain()
        for _ in range(20):
            client.send_nowait(b"more")
            await client.drain()
        assert b"" == await client.receive()
        await client.close()

    play(body)


def test_closing_has_patience_and_no_more() -> None:
    """What was not read by then is lost."""

    async def body(client: Client, other: socket.socket) -> None:
        client.send_nowait(bytes(5_000_000))
        await client.close(0.1)
        read, loop = 0, asyncio.get_running_loop()
        while data := await loop.sock_recv(other, 1 << 20):
            read += len(data)
        assert read < 5_000_000

    play(body)
