"""A sandbox from its making to its end, driven as a supervisor drives it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from moat.errors import MoatError, RuntimeUnavailable
from moat.runtimes.descriptors import read_some, read_to_end, write_all
from moat.runtimes.etc import etc_files
from moat.runtimes.interface import HOME, BoxSpec, Mount
from moat.runtimes.sandbox.runtime import SandboxBox, SandboxRuntime
from moat.runtimes.sandbox.spawn import memory_file, read_host_layout
from support.processes import is_alive


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., BoxSpec]:
    """Makes what a box is made from: a shell script with this much around it."""
    for name, content in etc_files(b"").items():
        file = tmp_path / "etc" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (tmp_path / "workspace").mkdir()

    def make(
        script: str,
        *mounts: Mount,
        terminal: tuple[int, int] | None = None,
        protected: tuple[str, ...] = (),
    ) -> BoxSpec:
        return BoxSpec(
            workspace=tmp_path / "workspace",
            command=("/bin/sh", "-c", script),
            environment={"PATH": "/usr/bin:/bin", "HOME": HOME},
            mounts=mounts,
            etc=tmp_path / "etc",
            terminal=terminal,
            protected=protected,
        )

    return make


MakeSpec = Callable[..., BoxSpec]


@contextlib.asynccontextmanager
async def at_gate(spec: BoxSpec) -> AsyncIterator[SandboxBox]:
    box = await SandboxRuntime().create(spec)
    try:
        yield box
    finally:
        await box.destroy()


def with_box(spec: BoxSpec, story: Callable[[SandboxBox], Awaitable[None]]) -> None:
    """Tell a story of a box; it is destroyed at the end, and every descriptor given back."""

    async def tell() -> None:
        async with asyncio.timeout(30), at_gate(spec) as box:
            await story(box)

    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
    asyncio.run(tell())
    assert before == sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def end_of(box: SandboxBox) -> tuple[int, str, str]:
    """Open the gate and see how it ends: exit code, output, complaints."""
    box.open_gate()
    box.close_stdin()
    assert box.stderr is not None
    out, err = await asyncio.gather(read_to_end(box.stdout), read_to_end(box.stderr))
    return await box.wait(), out.decode(), err.decode()


def test_nothing_runs_before_the_gate_is_open(spec: MakeSpec, tmp_path: Path) -> None:
    """The command starts when it is told to, and not when it could."""
    done = tmp_path / "workspace" / "done"

    async def story(box: SandboxBox) -> None:
        await asyncio.sleep(0.3)
        assert not done.exists()
        assert (0, "", "") == await end_of(box)
        assert done.exists()

    with_box(spec("touch done"), story)


def test_nothing_runs_when_the_gate_falls(spec: MakeSpec, tmp_path: Path) -> None:
    """A supervisor that dies before it said `go` has said nothing, and nothing runs."""

    async def story(box: SandboxBox) -> None:
        box._gate.close()
        assert 125 == await box.wait()

    with_box(spec("touch done"), story)
    assert not (tmp_path / "workspace" / "done").exists()


def test_nothing_runs_on_another_word(spec: MakeSpec, tmp_path: Path) -> None:
    """Only `go` opens the gate."""

    async def story(box: SandboxBox) -> None:
        box._gate.send(b"gone\n")
        assert 125 == await box.wait()

    with_box(spec("touch done"), story)
    assert not (tmp_path / "workspace" / "done").exists()


def test_a_destroyed_box_is_gone(spec: MakeSpec) -> None:
    """When `destroy` has returned, no process is left, whatever it had started."""
    pids: list[int] = []

    async def story(box: SandboxBox) -> None:
        box.open_gate()
        assert b"up\n" == await read_some(box.stdout)
        children = Path(f"/proc/{box._pid}/task/{box._pid}/children").read_text()
        pids.extend(map(int, [str(box._pid), *children.split()]))
        assert all(map(is_alive, pids))

    with_box(spec("trap '' TERM; setsid sleep 60 & echo up; sleep 60"), story)
    assert len(pids) == 2
    assert not any(map(is_alive, pids))


def test_a_signal_reaches_the_command(spec: MakeSpec) -> None:
    """It is the command that is asked, not the box that is torn down."""

    async def story(box: SandboxBox) -> None:
        box.open_gate()
        assert b"up\n" == await read_some(box.stdout)
        box.signal(signal.SIGTERM)
        assert 5 == await box.wait()

    with_box(spec("trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"), story)


def test_a_terminal_is_the_boxs_own(spec: MakeSpec) -> None:
    """It has the size it was given, takes another, and Ctrl-C is a signal."""

    async def story(box: SandboxBox) -> None:
        assert box.stderr is None
        assert box.stdin == box.stdout
        box.open_gate()
        assert b"33 101\r\n" == await read_some(box.stdout)
        box.resize(20, 70)
        await write_all(box.stdin, b"\n")
        seen = b""
        while b"20 70" not in seen:
            seen += await read_some(box.stdout)
        ended = asyncio.ensure_future(box.wait())
        # A shell drops a Ctrl-C that comes just as one of its children ends well, so a person
        # would press it again.
        while not ended.done():
            with contextlib.suppress(BrokenPipeError):
                await write_all(box.stdin, b"\x03")
            await asyncio.wait({ended}, timeout=0.2)
        assert 130 == await ended

    with_box(spec("stty size; read line; stty size; sleep 60", terminal=(33, 101)), story)


def test_staged_files_are_put_in_place(spec: MakeSpec, tmp_path: Path) -> None:
    """All of them, hidden ones and those in folders too, with the modes they have; the home of
    the agent is nobody else's."""
    staged = tmp_path / "tool-init"
    (staged / "deep").mkdir(parents=True)
    for name, mode in (("open.txt", 0o644), (".hidden", 0o600), ("deep/run.sh", 0o755)):
        (staged / name).write_text(name)
        (staged / name).chmod(mode)
    staged.chmod(0o700)
    empty = tmp_path / "empty-init"
    empty.mkdir(mode=0o700)
    script = "cd ~ && find . .tool -type f -exec stat -c '%a %n' {} + | sort -u; stat -c %a . .tool"

    async def story(box: SandboxBox) -> None:
        code, out, err = await end_of(box)
        assert (0, "") == (code, err)
        assert [
            "600 ./.tool/.hidden",
            "600 .tool/.hidden",
            "644 ./.tool/open.txt",
            "644 .tool/open.txt",
            "755 ./.tool/deep/run.sh",
            "755 .tool/deep/run.sh",
            "700",
            "700",
        ] == out.splitlines()

    mounts = (Mount(staged, "/moat/tool-init"), Mount(empty, "/moat/empty-init"))
    with_box(spec(script, *mounts), story)


def test_what_the_box_makes_is_not_private(spec: MakeSpec, tmp_path: Path) -> None:
    """Moat keeps its own files to itself; the person's files are made as ever, and the box's
    directories are as on any system."""
    script = "umask; touch made; stat -c %a / /etc /etc/ssl /moat /var /run /home"

    async def story(box: SandboxBox) -> None:
        assert (0, "0022\n" + "755\n" * 7, "") == await end_of(box)

    before = os.umask(0o077)
    try:
        with_box(spec(script), story)
        assert 0o077 == os.umask(0o077)
    finally:
        os.umask(before)
    assert 0o644 == stat.S_IMODE((tmp_path / "workspace" / "made").stat().st_mode)


def test_no_descriptor_of_ours_is_in_the_box(spec: MakeSpec) -> None:
    """Not even one that was left open to be inherited."""
    careless = os.open("/", os.O_RDONLY)
    os.set_inheritable(careless, True)

    async def story(box: SandboxBox) -> None:
        code, out, _ = await end_of(box)
        assert (0, ["0", "1", "2"]) == (code, out.split())

    try:
        with_box(spec("ls /proc/$$/fd"), story)
    finally:
        os.close(careless)


def test_a_box_that_cannot_be_made_says_why(spec: MakeSpec, tmp_path: Path) -> None:
    """In bubblewrap's words, and nothing is left."""
    missing = Mount(tmp_path / "missing", "/opt/missing")
    with pytest.raises(RuntimeUnavailable, match=r"Can't find source path .*missing"):
        with_box(spec("true", missing), lambda box: box.wait())  # type: ignore[arg-type,return-value]


def test_a_memory_file_reads_from_its_beginning() -> None:
    """It is nowhere on a disk, and is not inherited."""
    descriptor = memory_file("test", b"content")
    try:
        assert b"content" == os.read(descriptor, 100)
        assert not os.get_inheritable(descriptor)
        assert "memfd:moat-test" in os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    finally:
        os.close(descriptor)


def test_the_layout_is_this_machines() -> None:
    """Every directory and link is there, and each path is one or the other."""
    layout = read_host_layout()
    assert "/usr" in layout.directories
    for path, target in layout.links:
        assert target == os.readlink(path)  # noqa: PTH115
    paths = [*layout.directories, *(path for path, _ in layout.links)]
    assert len(paths) == len(set(paths))
    assert all(Path(path).exists() for path in (*paths, *layout.masked))


def test_a_terminal_that_hung_up_has_ended() -> None:
    """The system says EIO; for a reader it is an end, for a writer a broken pipe."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    os.close(slave)
    try:
        assert b"" == asyncio.run(read_some(master))
    finally:
        os.close(master)


def test_a_slow_reader_is_waited_for() -> None:
    """Everything is written, in pieces, to a pipe that holds less."""
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    os.set_blocking(writes, False)

    async def both() -> bytes:
        async def write() -> None:
            await write_all(writes, b"x" * 300_000)
            os.close(writes)

        _, got = await asyncio.gather(write(), read_to_end(reads))
        return got

    assert b"x" * 300_000 == asyncio.run(both())
    os.close(reads)


def test_a_closed_reader_breaks_the_pipe() -> None:
    """As for any program."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    os.close(reads)
    with pytest.raises(BrokenPipeError) as caught:
        asyncio.run(write_all(writes, b"x"))
    os.close(writes)
    assert caught.value.errno == errno.EPIPE


TRIES = """
cat moat.yaml
echo changed >moat.yaml
echo more >>moat.yaml
mv moat.yaml other
rm -f moat.yaml
mv other-file moat.yaml
chmod 777 moat.yaml
ln -f moat.yaml linked && echo changed >linked
umount moat.yaml
cat moat.yaml
"""


def test_a_protected_file_is_read_and_not_changed(spec: MakeSpec, tmp_path: Path) -> None:
    """Nor replaced, moved, removed, nor reached by another name."""
    file = tmp_path / "workspace" / "moat.yaml"
    file.write_text("as it was\n")
    (tmp_path / "workspace" / "other-file").write_text("changed\n")

    async def story(box: SandboxBox) -> None:
        _, out, _ = await end_of(box)
        assert ["as it was", "as it was"] == out.splitlines()

    with_box(spec(TRIES, protected=("moat.yaml",)), story)
    assert "as it was\n" == file.read_text()
    assert ["moat.yaml", "other-file"] == sorted(os.listdir(tmp_path / "workspace"))  # noqa: PTH208


async def to_the_end(box: SandboxBox) -> None:
    await end_of(box)


def test_a_file_that_is_not_protected_is_the_boxs(spec: MakeSpec, tmp_path: Path) -> None:
    """The twin: the same attempts, with the guard off."""
    file = tmp_path / "workspace" / "moat.yaml"
    file.write_text("as it was\n")
    with_box(spec(TRIES), to_the_end)
    assert not file.exists() or "as it was\n" != file.read_text()


@pytest.mark.parametrize("kind", ["missing", "link", "directory", "fifo"])
def test_what_is_no_file_cannot_be_protected(spec: MakeSpec, tmp_path: Path, kind: str) -> None:
    """Swapped since it was read: the run does not start, and nothing is followed."""
    file = tmp_path / "workspace" / "moat.yaml"
    if kind == "link":
        (tmp_path / "workspace" / "real").touch()
        file.symlink_to("real")
    elif kind == "directory":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)

    with pytest.raises(RuntimeUnavailable, match="must not change cannot be guarded"):
        with_box(spec("true", protected=("moat.yaml",)), to_the_end)


def test_a_mount_that_was_judged_is_mounted(spec: MakeSpec, tmp_path: Path) -> None:
    """By descriptor: to be read, or written where that was said."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "file").write_text("given\n")
    mounts = (
        Mount(tmp_path / "in", "/in", judged=True),
        Mount(tmp_path / "out", "/out", writable=True, judged=True),
        Mount(tmp_path / "in" / "file", "/data/file", judged=True),
    )

    async def story(box: SandboxBox) -> None:
        _, out, _ = await end_of(box)
        assert "given\ngiven\n0 1 2 3\n" == out

    script = "cat /in/file /data/file; touch /out/made /in/made; cd /proc/self/fd && echo *"
    with_box(spec(script, *mounts), story)
    assert (True, False) == ((tmp_path / "out/made").exists(), (tmp_path / "in/made").exists())


@pytest.mark.parametrize("swapped", ["the mount", "what it is in", "the workspace"])
def test_what_was_swapped_is_not_mounted(spec: MakeSpec, tmp_path: Path, swapped: str) -> None:
    """Between the look and the mount a directory became a link to somebody's keys."""
    keys, place = tmp_path / "keys", tmp_path / "place"
    (keys / "data").mkdir(parents=True)
    (place / "data").mkdir(parents=True)
    made = spec("ls /data", Mount(place / "data", "/data", judged=True))
    moved = {
        "the mount": place / "data",
        "what it is in": place,
        "the workspace": tmp_path / "workspace",
    }[swapped]
    moved.rename(tmp_path / "away")
    moved.symlink_to(keys)
    with pytest.raises(MoatError, match="is not what it was"):
        with_box(made, to_the_end)
