"""Commands come to a live run, from its own account alone, and nothing else disturbs it."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop

from moat.errors import MoatError
from moat.run.command_server import MAX_CONNECTIONS, CommandServer
from moat.run.command_socket import MAX_LINE, NAME, Address, tell
from support.users import User

PATIENCE = 1.0


class Served:
    """A server of commands in a thread of its own; it says what it was told."""

    def __init__(self, directory: Path, patience: float = PATIENCE) -> None:
        self.directory = directory
        self.obeyed: list[Mapping[str, Any]] = []
        self.failure: Exception | None = None
        self._patience = patience
        self._ready, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = CommandServer(self.directory, self._obey, patience=self._patience)
        await server.listen()
        self._ready.set()
        await self._end.wait()
        await server.close()

    def _obey(self, command: Mapping[str, Any]) -> dict[str, Any]:
        if self.failure:
            raise self.failure
        self.obeyed.append(command)
        return {"told": dict(command)}

    def connect(self) -> socket.socket:
        """A connection that has said nothing yet."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        with Address(self.directory) as address:
            connection.connect(address)
        return connection

    def end(self) -> None:
        """Stop it, if it was not stopped."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    directory = tmp_path / "0123456789"
    directory.mkdir(mode=0o700)
    running = Served(directory)
    yield running
    running.end()


def heard(connection: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    data = b""
    while more := connection.recv(1 << 16):
        data += more
    return data


def test_a_command_is_obeyed_and_answered(served: Served) -> None:
    """What goes in comes out, whatever text it holds; the socket is its owner's alone."""
    command = {"do": "x", "text": 'é "quoted"\n', "list": [1, None]}
    assert {"told": command} == tell(served.directory, command)
    assert [command] == served.obeyed
    status = (served.directory / NAME).lstat()
    assert stat.S_ISSOCK(status.st_mode)
    assert 0o600 == stat.S_IMODE(status.st_mode)


def test_what_a_run_has_against_it_is_an_error(served: Served) -> None:
    """With its hint; where Moat fails itself, nothing of that is told but that it did."""
    served.failure = MoatError("no", hint="do that")
    with pytest.raises(MoatError, match=r"^no$") as caught:
        tell(served.directory, {})
    assert "do that" == caught.value.hint
    served.failure = ZeroDivisionError("secret detail")
    with pytest.raises(MoatError, match="failed where it should not") as caught:
        tell(served.directory, {})
    assert "secret" not in str(caught.value)


def test_a_path_may_be_longer_than_an_address(tmp_path: Path) -> None:
    """A socket's address has 108 bytes; Moat's directory may be anywhere."""
    directory = tmp_path / ("d" * 200) / "0123456789"
    directory.mkdir(parents=True)
    served = Served(directory)
    try:
        assert {"told": {"a": 1}} == tell(directory, {"a": 1})
    finally:
        served.end()


def test_nobody_is_there(tmp_path: Path) -> None:
    """A run that has ended, that was killed, that never was: each says so."""
    directory = tmp_path / "0123456789"
    with pytest.raises(MoatError, match="0123456789 takes no commands"):
        tell(directory, {})
    directory.mkdir()
    served = Served(directory)
    served.end()
    assert [] == [*directory.iterdir()]
    with pytest.raises(MoatError, match="it has ended, or is only starting"):
        tell(directory, {})
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(directory / NAME))
    with pytest.raises(MoatError, match="it has ended, or is only starting"):
        tell(directory, {})


@pytest.mark.parametrize(
    "reply", [b"", b"no json\n", b"[]\n", b'{"error": "x"}\n', b"x" * 3_000_000]
)
def test_a_reply_that_is_none_is_an_error(tmp_path: Path, reply: bytes) -> None:
    """Whoever listens there, `moat` ends with a sentence."""
    directory = tmp_path / "0123456789"
    directory.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / NAME))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                try:
                    connection.sendall(reply)
                except BrokenPipeError:
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(MoatError, match=r"does not answer|^x$"):
            tell(directory, {}, patience=5)
        thread.join()


# attacks


@pytest.mark.attack
@pytest.mark.parametrize(
    "said",
    [
        b"\n",
        b"garbage\n",
        b"\xff\x00\xfe\n",
        b"[]\n",
        b"1\n",
        b"null\n",
        b'"text"\n',
        b"NaN\n",
        b"{}",
        b'{"do": ',
        b"[" * 10_000 + b"\n",
        b'{"a":' * 2000 + b"\n",
        b"x" * (MAX_LINE + 1) + b"\n",
        b"x" * (10 * MAX_LINE),
        b"1" * 10_000 + b"\n",
    ],
    ids=lambda said: repr(said[:12]),
)
def test_garbage_is_answered_and_forgotten(served: Served, said: bytes) -> None:
    """Nothing of it is obeyed, and the next command is."""
    with served.connect() as connection:
        try:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            reply = heard(connection)
        except (BrokenPipeError, ConnectionResetError):
            reply = b""
    assert not reply or {"error": "that is no command", "hint": None} == json.loads(reply)
    assert {"told": {"still": "there"}} == tell(served.directory, {"still": "there"})
    assert [{"still": "there"}] == served.obeyed


@pytest.mark.attack
def test_who_says_nothing_is_not_waited_for(served: Served) -> None:
    """However many are silent: after a while they are let go, and there is room again."""
    silent: list[socket.socket] = []
    try:
        silent += [served.connect() for _ in range(MAX_CONNECTIONS + 5)]
        end = time.monotonic() + 20
        while True:
            try:
                assert {"told": {}} == tell(served.directory, {})
            except MoatError:
                assert time.monotonic() < end
                time.sleep(0.1)
            else:
                break
        assert [b""] * len(silent) == [heard(connection) for connection in silent]
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.attack
def test_who_says_too_much_is_not_read_to_the_end(served: Served) -> None:
    """However well it is said."""
    assert {"told": {"text": "x" * 1000}} == tell(served.directory, {"text": "x" * 1000})
    with pytest.raises(MoatError):
        tell(served.directory, {"text": "x" * MAX_LINE})
    assert 1 == len(served.obeyed)


@pytest.mark.attack
def test_only_so_many_are_listened_to_at_once(tmp_path: Path) -> None:
    """One too many is let go at once, and the others are not."""
    served = Served(tmp_path, patience=60)
    connections = []
    try:
        connections += [served.connect() for _ in range(MAX_CONNECTIONS + 1)]
        assert b"" == heard(connections[-1])
        connections[0].sendall(b"{}\n")
        assert b'{"told": {}}\n' == heard(connections[0])
    finally:
        for connection in connections:
            connection.close()
        served.end()


@pytest.mark.attack
def test_a_run_can_end_while_somebody_is_connected(served: Served) -> None:
    """Nobody keeps it alive by saying nothing."""
    with served.connect() as connection:
        connection.sendall(b'{"do": ')
        served.end()
        assert b"" == heard(connection)


TELL = """
import sys
from pathlib import Path
from moat.errors import MoatError
from moat.run.command_socket import tell
try:
    print(tell(Path(sys.argv[1]), {"do": "allow"}))
except (MoatError, OSError) as error:
    print(f"refused: {error}")
"""


def told_by(user: User, directory: Path) -> str:
    """What another user comes to hear."""
    command = [*user.become, str(user.python), "-P", "-c", TELL, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd="/")
    return done.stdout + done.stderr


@pytest.mark.attack
@pytest.mark.parametrize("open_to_all", [False, True])
def test_other_users_are_not_heard(users: dict[str, User], open_to_all: bool) -> None:
    """They do not come as far as the socket; and if they did, it would not listen to them."""
    if len(users) < 2:
        pytest.skip("the tests are not run by root")
    directory = users["root"].new_directory() / "0123456789"
    directory.mkdir(mode=0o700)
    served = Served(directory)
    try:
        if open_to_all:
            for path, mode in (
                (directory.parent, 0o755),
                (directory, 0o755),
                (directory / NAME, 0o666),
            ):
                path.chmod(mode)
        said = told_by(users["unprivileged"], directory)
        assert "refused: " in said
        assert open_to_all != ("Permission denied" in said)
        assert [] == served.obeyed
        assert "'told'" in told_by(users["root"], directory)
    finally:
        served.end()
