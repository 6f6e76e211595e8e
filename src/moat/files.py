"""Files and directories other users of the machine may not read, or may not change.

Every check is made on what was opened, never on a name looked up a second time, so nobody can
swap the thing between the look and the use. An error carries the command that mends it.
"""

from __future__ import annotations

import errno
import functools
import os
import shlex
import stat
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from moat.errors import MoatError, UnsafeFile

# include/uapi/linux/openat2.h; the number is the same on every architecture.
_OPENAT2 = 437
_NO_LINKS, _BENEATH = 0x04, 0x08


class _Rule(NamedTuple):
    """Which permission bits others may not hold, and how that is said and mended."""

    forbidden: int
    complaint: str
    chmod: str
    root_may_own: bool = False


_PRIVATE_DIRECTORY = _Rule(0o077, "is open to other users", "700")
_PRIVATE_FILE = _Rule(0o077, "is open to other users", "600")
_OWN_DIRECTORY = _Rule(0o022, "can be changed by other users", "go-w")
# Root can change any file anyway, and an administrator may well provide one.
_TRUSTED_FILE = _Rule(0o022, "can be changed by other users", "go-w", root_may_own=True)


def ensure_private_dir(path: Path) -> None:
    """Make `path` a directory of ours that is closed to everybody else (0700), or refuse it.

    Missing parents are created 0700 as well; existing parents are taken as they are.
    Raises UnsafeFile for a symbolic link, something else than a directory, another owner, or any
    permission for group or others; MoatError when it cannot be created.
    """
    _create(path)
    _check_directory(path, _PRIVATE_DIRECTORY)


def ensure_own_dir(path: Path) -> None:
    """Like `ensure_private_dir`, but others may read an existing directory; they may not write."""
    _create(path)
    _check_directory(path, _OWN_DIRECTORY)


def check_private_file(path: Path) -> None:
    """Refuse a file that is not ours alone; `open_private_file` also hands it out for reading."""
    open_private_file(path).close()


def open_private_file(path: Path) -> BinaryIO:
    """Open a regular file that belongs to us and is closed to everybody else, for reading.

    Raises FileNotFoundError when there is none, UnsafeFile for a symbolic link, something else
    than a regular file, another owner, or any permission for group or others.
    """
    try:
        return _open_file(path, _PRIVATE_FILE, flags=os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unopened(path, error, chmod="600") from None


def open_trusted_file(path: Path) -> BinaryIO:
    """Open a regular file that nobody but us and root can change, for reading.

    Symbolic links are followed: the file they end at is what is checked. Raises OSError as
    `open` does and for what is not a regular file, UnsafeFile when others may change the file.
    """
    return _open_file(path, _TRUSTED_FILE, flags=0)


def open_without_links(path: Path) -> int:
    """A descriptor (O_PATH) of a file or directory whose absolute path goes through no link.

    A path is judged before a box is made, and another box may write to a directory on its way:
    what became a link meanwhile leads to where nobody judged. Raises MoatError.
    """
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    current = os.open("/", flags | os.O_DIRECTORY)
    try:
        parts = path.parts[1:]
        for number, part in enumerate(parts, start=1):
            further = os.O_DIRECTORY if number < len(parts) else 0
            below = os.open(part, flags | further, dir_fd=current)
            os.close(current)
            current = below
    except OSError as error:
        os.close(current)
        raise _changed(path, str(error.strerror)) from None
    kind = os.fstat(current).st_mode
    if not stat.S_ISDIR(kind) and not stat.S_ISREG(kind):
        os.close(current)
        raise _changed(path, "it is no file and no directory any more")
    return current


def open_beneath(directory: int, path: str, flags: int) -> int:
    """Open a path below an opened directory, through no link; a last part that is a link is opened
    itself where `flags` say O_PATH and O_NOFOLLOW. Raises OSError.
    """
    import ctypes  # here, as most commands open nothing so

    how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, 0, _BENEATH | _NO_LINKS)
    call = _libc_syscall()
    name = ctypes.c_char_p(os.fsencode(path))
    number, size = ctypes.c_long(_OPENAT2), ctypes.c_size_t(ctypes.sizeof(how))
    opened: int = call(number, ctypes.c_int(directory), name, ctypes.byref(how), size)
    if opened < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return opened


@functools.cache
def _libc_syscall() -> Any:
    import ctypes

    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    return call


def _changed(path: Path, how: str) -> MoatError:
    return MoatError(
        f"{path} is not what it was when the run was planned: {how}",
        hint="see what changes it: another run that can write around it?",
    )


def write_atomic(path: Path, content: bytes, *, mode: int, lasting: bool = True) -> None:
    """Replace a file by one with this content and mode, all of it or nothing, kept across a crash.

    One that is not `lasting` may be the older one again after a power cut, in one piece. The
    directory must be ours. Raises OSError as the system does, with the old file as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if not lasting:
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _create(path: Path) -> None:
    try:
        _make_directories(path)
    except OSError as error:
        raise MoatError(f"cannot create {path}: {error.strerror}") from None


def _make_directories(path: Path) -> None:
    try:
        path.mkdir(0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        if path.parent == path:
            raise
        _make_directories(path.parent)
        _make_directories(path)
        return
    # A umask may have taken bits away from ourselves; mkdir never leaves more than 0700.
    if stat.S_IMODE(path.lstat().st_mode) & 0o700 != 0o700:
        path.chmod(0o700)


def _check_directory(path: Path, rule: _Rule) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _unopened(path, error, chmod="700") from None
    try:
        _check_status(path, os.fstat(descriptor), rule)
    finally:
        os.close(descriptor)


def _unopened(path: Path, error: OSError, *, chmod: str) -> UnsafeFile:
    quoted = shlex.quote(str(path))
    # Linux answers O_NOFOLLOW with ELOOP, but with ENOTDIR when a directory is asked for.
    if path.is_symlink():
        return UnsafeFile(
            f"{path} is a symbolic link; it must be there itself",
            hint=f"remove the link: rm {quoted}",
        )
    if error.errno == errno.EACCES:
        return UnsafeFile(f"{path} is closed even to us", hint=f"run: chmod {chmod} {quoted}")
    return UnsafeFile(
        f"{path} cannot be used: {error.strerror}", hint=f"move it away: mv {quoted} {quoted}.old"
    )


def _open_file(path: Path, rule: _Rule, *, flags: int) -> BinaryIO:
    # O_NONBLOCK, or a FIFO put there would keep us waiting for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    try:
        _check_file(path, os.fstat(descriptor), rule)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_file(path: Path, status: os.stat_result, rule: _Rule) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    _check_status(path, status, rule)


def _check_status(path: Path, status: os.stat_result, rule: _Rule) -> None:
    ours = os.geteuid()
    quoted = shlex.quote(str(path))
    if status.st_uid != ours and not (rule.root_may_own and status.st_uid == 0):
        raise UnsafeFile(
            f"{path} belongs to another user (uid {status.st_uid}, we are {ours})",
            hint=f"if its contents are yours, run: sudo chown {ours} {quoted}",
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & rule.forbidden:
        raise UnsafeFile(
            f"{path} {rule.complaint} (mode {mode:04o})",
            hint=f"run: chmod {rule.chmod} {quoted}",
        )
