"""A tool small enough to install a hundred times, and processes that install it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from moat.tools.archive import integrity_of
from moat.tools.catalogue import Package, Tool

ENSURE = Path(__file__).with_name("ensure.py")
NOISE = random.Random(7).randbytes(3_000_000)  # does not compress: the tarball is this large too
# Compresses to little, and needs room only when unpacked; npm takes no more than 1000 to 1.
ZEROS = bytes(20_000_000) + NOISE[:200_000]


@pytest.fixture(scope="session")
def pack_tool(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Tool]:
    """Makes a tool of files with the real npm: its spec is a folder, its digest the real one."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm on PATH")

    def make(files: dict[str, bytes]) -> Tool:
        folder = tmp_path_factory.mktemp("tool")
        source = folder / "source"
        for name, content in {**files, "left/out": b"not wanted"}.items():
            place = source / "vendor" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            place.chmod(0o777 if content.startswith(b"#!") else 0o666)
        (source / "package.json").write_text('{"name":"tiny","version":"1.0.0"}')
        argv = ["npm", "pack", str(source), "--pack-destination", str(folder), "--silent"]
        subprocess.run(argv, check=True, cwd=folder, capture_output=True)
        package = Package(
            machine=os.uname().machine,
            spec=str(source),
            integrity=integrity_of(folder / "tiny-1.0.0.tgz"),
            root="package/vendor",
        )
        size = sum(map(len, files.values()))
        return Tool("tiny", "1.0.0", (package,), tuple(files), ("bin",), size, size)

    return make


@pytest.fixture(scope="session")
def tiny(pack_tool: Callable[..., Tool]) -> Tool:
    """A tool of one script and one text."""
    return pack_tool({"bin/hello": b"#!/bin/sh\necho hello\n", "share/note": b"a note\n"})


@pytest.fixture(scope="session")
def noisy(pack_tool: Callable[..., Tool]) -> Tool:
    """A tool whose tarball is 3 MB."""
    return pack_tool({"bin/noise": NOISE})


@pytest.fixture(scope="session")
def hollow(pack_tool: Callable[..., Tool]) -> Tool:
    """A tool whose tarball is small and whose content is 20 MB."""
    return pack_tool({"bin/zeros": ZEROS})


@pytest.fixture
def tampered(tiny: Tool) -> Tool:
    """The tiny tool, of which the catalogue expects other bytes."""
    package = replace(tiny.packages[0], integrity="sha512-" + "A" * 86 + "==")
    return replace(tiny, packages=(package,))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A `$MOAT_HOME` that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def fake_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts an npm before the real one on PATH: a shell script that does this for `npm pack`.

    In it, $DIR is where the tarball is to go, $REAL the real npm, and $LOG a file of its own, of
    which the path is returned.
    """

    def make(script: str) -> Path:
        folder, log = tmp_path / "fake-bin", tmp_path / "npm.log"
        folder.mkdir()
        npm = folder / "npm"
        npm.write_text(
            f"#!/bin/sh\nLOG={log} REAL={shutil.which('npm')} DIR=$4\n"
            f'[ "$1" = --version ] && exit 0\n{script}\n'
        )
        npm.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return log

    return make


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that installs a tool and prints where; ends those still running."""
    started: list[subprocess.Popen[str]] = []

    def begin(
        tool: Tool,
        home: Path,
        *,
        before: tuple[str, ...] = (),
        python: str = sys.executable,
        env: dict[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*before, python, str(ENSURE), _as_json(tool), str(home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits for something to become true; fails after some seconds."""

    def wait(condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < give_up, "it did not come true"
            time.sleep(0.02)

    return wait


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process runs; one that ended and was not reaped yet does not."""

    def ask(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    return ask


@pytest.fixture
def leftovers() -> Callable[[Path], list[str]]:
    """What is below a home besides locks and empty work folders."""

    def find(home: Path) -> list[str]:
        tools = home / "tools"
        kept = {".work"} | {f".work/{p.name}" for p in tools.glob(".work/*")}
        return sorted(
            name for p in tools.rglob("*") if (name := str(p.relative_to(tools))) not in kept
        )

    return find


def _as_json(tool: Tool) -> str:
    package = tool.packages[0]
    return json.dumps(
        [package.spec, package.integrity, tool.files, tool.download_bytes, tool.installed_bytes]
    )
