"""The system-call filter of the box: what the agent may not ask the kernel for.

The box's namespaces decide what the agent can see; this filter keeps it from the parts of the
kernel that no developer's tool needs and that break-outs are made of. `POLICY` is the whole of
it, each line with its reason; a call it does not name is allowed. The laws:

1.  Only calls of the machine's own architecture are looked at. Another one's (i386 by `int 0x80`
    on x86_64, 32-bit arm on aarch64) have other numbers, so every line below would miss them: the
    process is killed. An errno would only make such a program spin on its failing `exit`.
2.  A number newer than the table answers ENOSYS, as on the older kernel every program knows how
    to live with: what nobody has judged is not let through. The 32-bit x32 calls of x86_64 (bit 30
    set, and their second set 512-547 which old kernels took without the bit) fall under this too.
3.  Of an `int` argument only the low 32 bits are compared, as the kernel only looks at those. A
    64-bit comparison is the known hole: TIOCSTI | 1 << 32 would pass it and still be TIOCSTI.
4.  EPERM says "not for you". ENOSYS is for calls whose callers then take another road. The errno
    a family or protocol answers is the one a kernel built without it would answer.
5.  A pointer is never followed (the filter cannot; another thread could change what is behind it
    after the check), so a call that hides its flags behind one is refused whole.

It holds for all descendants, survives `execve`, and cannot be lifted: further filters only take
away. It counts on a kernel that filters after a tracer may have changed the call (Linux 4.8).
Within the box it is no wall between processes: one user's processes read each other's memory
through /proc/PID/mem all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from errno import EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT
from itertools import groupby
from typing import Final, NamedTuple

from moat.runtimes.sandbox.bpf import (
    ANY_BIT,
    EQUAL,
    Load,
    Mask,
    Node,
    Return,
    Test,
    assemble,
    one_of,
    switch,
)
from moat.runtimes.sandbox.syscalls import NEWEST, NUMBERS, ONLY_X86_64

AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # <linux/audit.h>

# struct seccomp_data of <linux/seccomp.h>: int nr; u32 arch; u64 instruction_pointer, args[6].
NUMBER: Final = 0
ARCHITECTURE: Final = 4

ALLOW: Final = Return(0x7FFF0000)  # SECCOMP_RET_ALLOW
KILL: Final = Return(0x80000000)  # SECCOMP_RET_KILL_PROCESS


def refuse(errno: int) -> Return:
    """The verdict that fails the call with `errno`: SECCOMP_RET_ERRNO."""
    return Return(0x00050000 | errno)


def argument(index: int, then: Node) -> Node:
    """Looks at the low 32 bits of an argument; both machines are little-endian."""
    return Load(16 + 8 * index, then)


NEW_NAMESPACE: Final = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET} of <linux/sched.h>
UNSHARE_HARMLESS: Final = 0x00040600  # CLONE_FS | CLONE_FILES | CLONE_SYSVSEM

PTRACE_ATTACH: Final = 16
PTRACE_SEIZE: Final = 0x4206

TIOCSTI: Final = 0x5412
TIOCLINUX: Final = 0x541C
TIOCSETD: Final = 0x5423

AF_UNIX: Final = 1
AF_INET: Final = 2
AF_INET6: Final = 10
AF_NETLINK: Final = 16
SOCK_TYPE_MASK: Final = 0xF  # above it are SOCK_CLOEXEC and SOCK_NONBLOCK
SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
INTERNET_PROTOCOLS: Final = (0, 1, 6, 17, 58)  # by type, ICMP (unprivileged ping), TCP, UDP, ICMPv6
NETLINK_ROUTE: Final = 0

INTERNET: Final = argument(
    1,
    Mask(
        SOCK_TYPE_MASK,
        one_of(
            (SOCK_STREAM, SOCK_DGRAM),
            yes=argument(2, one_of(INTERNET_PROTOCOLS, yes=ALLOW, no=refuse(EPROTONOSUPPORT))),
            no=refuse(EPERM),  # what the kernel says to SOCK_RAW without CAP_NET_RAW
        ),
    ),
)

NETLINK: Final = argument(2, Test(EQUAL, NETLINK_ROUTE, yes=ALLOW, no=refuse(EPROTONOSUPPORT)))

CREATES: Final = 0o20000100  # __O_TMPFILE | O_CREAT: without either, the mode is not looked at
SET_ID: Final = 0o6000  # S_ISUID | S_ISGID


def mode(index: int) -> Node:
    """Refuses a file mode, that argument, which lets others run the file as its owner or group."""
    return argument(index, Test(ANY_BIT, SET_ID, yes=refuse(EPERM), no=ALLOW))


def creation(flags: int) -> Node:
    """The same for a call with open flags, the mode behind them."""
    return argument(flags, Test(ANY_BIT, CREATES, yes=mode(flags + 1), no=ALLOW))


class Rule(NamedTuple):
    """What is decided about some calls."""

    calls: str
    """Their names, as in the kernel's tables, between spaces."""

    verdict: Node
    why: str


POLICY: Final = (
    Rule(
        "keyctl add_key request_key",
        refuse(EPERM),
        "No namespace holds keyrings: the session keyring of the person who started the run, with"
        " its secrets, is still this process's.",
    ),
    Rule(
        "mount umount2 pivot_root chroot move_mount open_tree open_tree_attr fsopen fsconfig"
        " fsmount fspick mount_setattr",
        refuse(EPERM),
        "The view of the file system is the box; nobody inside changes it.",
    ),
    Rule("setns", refuse(EPERM), "Nobody enters another namespace, however its descriptor came."),
    Rule(
        "unshare",
        argument(0, Test(ANY_BIT, ~UNSHARE_HARMLESS & 0xFFFFFFFF, yes=refuse(EPERM), no=ALLOW)),
        "A user namespace of one's own hands out every capability within it, and with them the"
        " code most kernel holes are in. Unsharing files, directory and semaphores is harmless.",
    ),
    Rule(
        "clone",
        argument(0, Test(ANY_BIT, NEW_NAMESPACE, yes=refuse(EPERM), no=ALLOW)),
        "As unshare; threads and processes are made with it too, so it is the flags that count.",
    ),
    Rule(
        "clone3",
        refuse(ENOSYS),
        "Its flags are behind a pointer (law 5). The C libraries fall back to clone.",
    ),
    Rule(
        "chmod fchmod creat mknod",
        mode(1),
        "A set-id program left in the workspace makes whoever runs it on the host the person: root,"
        " if root started the run. Directories cannot be told apart, so they get no set-gid bit"
        " either; in one that has it, new ones still inherit it.",
    ),
    Rule("fchmodat fchmodat2 mknodat", mode(2), "As chmod and mknod, in a given directory."),
    Rule("open", creation(1), "As chmod: a new file is given its mode."),
    Rule("openat", creation(2), "As open."),
    Rule(
        "openat2",
        refuse(ENOSYS),
        "Its mode is behind a pointer (law 5). What uses it falls back to openat.",
    ),
    Rule(
        "open_by_handle_at",
        refuse(EPERM),
        "Opens a file by its inode, past every mount the box is made of.",
    ),
    Rule(
        "ptrace",
        argument(0, one_of((PTRACE_ATTACH, PTRACE_SEIZE), yes=refuse(EPERM), no=ALLOW)),
        "No taking hold of a process that did not ask for it. PTRACE_TRACEME stays, and with it"
        " debuggers of programs they start themselves: gdb uses it, strace falls back to it.",
    ),
    Rule(
        "process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp",
        refuse(EPERM),
        "Reaches into the memory or the open files of another process. Debuggers fall back to"
        " ptrace.",
    ),
    Rule(
        "ioctl",
        argument(1, one_of((TIOCSTI, TIOCLINUX, TIOCSETD), yes=refuse(EPERM), no=ALLOW)),
        "TIOCSTI and the paste of TIOCLINUX type into the terminal as if the person had: what they"
        " typed is run by their shell, outside the box. TIOCSETD loads line disciplines, drivers"
        " for modems that hold a long list of kernel holes.",
    ),
    Rule(
        "socket",
        argument(
            0,
            Test(
                EQUAL,
                AF_UNIX,
                yes=ALLOW,
                no=one_of(
                    (AF_INET, AF_INET6),
                    yes=INTERNET,
                    no=Test(EQUAL, AF_NETLINK, yes=NETLINK, no=refuse(EAFNOSUPPORT)),
                ),
            ),
        ),
        "AF_VSOCK reaches the hypervisor past the network namespace; AF_PACKET, AF_ALG and dozens"
        " more are loaded on demand and seldom read by anyone. So are SCTP, DCCP, MPTCP and SMC"
        " beneath the Internet families, and SOCK_PACKET is AF_PACKET by an old name. Of netlink,"
        " routes are what getifaddrs asks for; the rest is audit, netfilter and udev.",
    ),
    Rule(
        "socketpair",
        argument(0, Test(EQUAL, AF_UNIX, yes=ALLOW, no=refuse(EAFNOSUPPORT))),
        "As socket; only Unix sockets come in pairs that anybody uses.",
    ),
    Rule(
        "io_uring_setup io_uring_enter io_uring_register",
        refuse(ENOSYS),
        "Does the work of other calls where no filter sees them, sockets among them, and is itself"
        " a source of kernel holes. libuv and others fall back to epoll.",
    ),
    Rule(
        "bpf perf_event_open userfaultfd",
        refuse(EPERM),
        "A compiler in the kernel, a profiler of it, and the way to hold it still in the middle of"
        " a copy: the tools exploits are built with.",
    ),
    Rule(
        "fanotify_init",
        refuse(EPERM),
        "Watches whole file systems; editors and build tools watch with inotify.",
    ),
    Rule(
        "move_pages migrate_pages",
        refuse(EPERM),
        "Moves the memory of other processes between nodes, and tells where one's own lies.",
    ),
    Rule(
        "init_module finit_module delete_module kexec_load kexec_file_load",
        refuse(EPERM),
        "Changes the kernel that runs, or the next.",
    ),
    Rule(
        "reboot swapon swapoff acct quotactl quotactl_fd vhangup syslog",
        refuse(EPERM),
        "Administers the machine; its kernel log tells addresses and what the host does.",
    ),
    Rule(
        "settimeofday clock_settime clock_adjtime adjtimex",
        refuse(EPERM),
        "The clock is the host's, and certificates are judged by it.",
    ),
    Rule(
        "iopl ioperm modify_ldt",
        refuse(EPERM),
        "Ports and segments of the processor; only 16-bit emulators ask for them.",
    ),
    Rule(
        "uselib nfsservctl lookup_dcookie",
        refuse(EPERM),
        "Gone from newer kernels, still open to attack in older ones, used by nothing.",
    ),
)


def compile_filter(machine: str) -> bytes:
    """The filter of a machine of NUMBERS as an array of `struct sock_filter`.

    No start has the time for it: what it makes is kept in `filters`, by `make filters`.
    """
    verdicts = switch(_ranges(_verdicts(machine)))
    return assemble(
        Load(
            ARCHITECTURE,
            Test(EQUAL, AUDIT_ARCH[machine], yes=Load(NUMBER, verdicts), no=KILL),
        )
    )


def _verdicts(machine: str) -> Mapping[int, Node]:
    """What `POLICY` says, by number."""
    numbers = NUMBERS[machine]
    return {
        numbers[call]: rule.verdict
        for rule in POLICY
        for call in rule.calls.split()
        if machine == "x86_64" or call not in ONLY_X86_64
    }


def _ranges(verdicts: Mapping[int, Node]) -> list[tuple[int, Node]]:
    """Every number there is, as (first, verdict) from 0 upwards, neighbours that agree in one."""
    every: Iterable[tuple[int, Node]] = (
        (number, verdicts.get(number, ALLOW)) for number in range(NEWEST + 1)
    )
    runs = [next(run) for _, run in groupby(every, key=lambda case: case[1])]
    return [*runs, (NEWEST + 1, refuse(ENOSYS))]


def filters_module() -> str:
    """The source of `filters`."""
    lines = [
        '"""The filter of system calls of each machine: `seccomp`, compiled by `make filters`."""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import Final",
        "",
        "# Arrays of `struct sock_filter`, in hexadecimal digits.",
        "FILTERS: Final = {",
    ]
    for machine in sorted(NUMBERS):
        digits = compile_filter(machine).hex()
        lines += [f'    "{machine}": (']
        lines += [f'        "{digits[at : at + 80]}"' for at in range(0, len(digits), 80)]
        lines += ["    ),"]
    return "\n".join([*lines, "}", ""])


if __name__ == "__main__":
    print(filters_module(), end="")
