"""Reading and writing plain descriptors from the event loop: pipes, terminals, process ends."""

from __future__ import annotations

import asyncio
import errno
import os

_CHUNK = 64 * 1024


async def wait_readable(descriptor: int) -> None:
    """Wait until there is something to read, or an end."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _resolve, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


async def wait_writable(descriptor: int) -> None:
    """Wait until there is room to write."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(descriptor, _resolve, ready)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def read_some(descriptor: int, most: int = _CHUNK) -> bytes:
    """Bytes from a non-blocking descriptor; empty at its end, a terminal's hang-up included."""
    while True:
        try:
            return os.read(descriptor, most)
        except BlockingIOError:
            await wait_readable(descriptor)
        except OSError as error:
            if error.errno == errno.EIO:  # how the master side of a terminal learns of the end
                return b""
            raise


async def read_to_end(descriptor: int) -> bytes:
    """Everything until the end."""
    parts = []
    while data := await read_some(descriptor):
        parts.append(data)
    return b"".join(parts)


async def write_all(descriptor: int, data: bytes) -> None:
    """Write everything to a non-blocking descriptor. Raises BrokenPipeError."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            await wait_writable(descriptor)
        except OSError as error:
            if error.errno == errno.EIO:
                raise BrokenPipeError from error
            raise


async def wait_for_exit(pid: int, pidfd: int) -> int:
    """Wait for a child of ours; the exit code as a shell gives it, 128 + N after signal N."""
    await wait_readable(pidfd)
    _, status = os.waitpid(pid, 0)  # noqa: ASYNC222  # it has ended
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
