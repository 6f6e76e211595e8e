"""The filter as the kernel would run it: judged by an interpreter that shares no code with it."""

from __future__ import annotations

import errno
import re
import struct
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moat.errors import RuntimeUnavailable
from moat.runtimes.sandbox import filters
from moat.runtimes.sandbox.bpf import EQUAL, Load, Mask, Node, Return, Test, assemble, switch
from moat.runtimes.sandbox.filter import filter_program
from moat.runtimes.sandbox.seccomp import POLICY, filters_module
from moat.runtimes.sandbox.syscalls import NEWEST, NUMBERS, ONLY_X86_64

ARCHES = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7, "arm": 0x40000028}
MACHINES = ("x86_64", "aarch64")
PROGRAMS = {machine: filter_program(machine) for machine in MACHINES}
ALLOWED, KILLED = "allowed", "killed"

# Calls every program makes, by their own second set of numbers: (x86_64, aarch64).
EVERYDAY = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "rt_sigreturn": (15, 139),
    "getpid": (39, 172),
    "sendmsg": (46, 211),
    "connect": (42, 203),
    "execve": (59, 221),
    "exit_group": (231, 94),
    "futex": (202, 98),
    "unlinkat": (263, 35),
    "prctl": (157, 167),
    "seccomp": (317, 277),
    "memfd_create": (319, 279),
    "getrandom": (318, 278),
    "rseq": (334, 293),
    "pidfd_open": (434, 434),
    "faccessat2": (439, 439),
    "landlock_create_ruleset": (444, 444),
    "file_setattr": (469, 469),
}
# Calls that give a file its mode, and which argument that is.
MODES = {
    "chmod": 1,
    "creat": 1,
    "fchmod": 1,
    "mknod": 1,
    "fchmodat": 2,
    "fchmodat2": 2,
    "mknodat": 2,
    "open": 2,
    "openat": 3,
}
COMPARED = {"clone", "unshare", "ptrace", "ioctl", "socket", "socketpair", *MODES}
NO_SUCH_CALL = {"clone3", "openat2", "io_uring_setup", "io_uring_enter", "io_uring_register"}

WORD = st.integers(0, 2**32 - 1)
ARGUMENTS = st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6)


@cache
def decode(program: bytes) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("=HBBI", program))


def interpret(program: bytes, data: bytes) -> int:
    """Runs classic BPF over a `struct seccomp_data`, strictly: what is not understood raises."""
    code = decode(program)
    accumulator, at = 0, 0
    while True:
        operation, yes, no, operand = code[at]
        at += 1
        match operation:
            case 0x20:
                assert operand % 4 == 0
                assert operand + 4 <= len(data)
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x05:
                at += operand
            case 0x15:
                at += yes if accumulator == operand else no
            case 0x35:
                at += yes if accumulator >= operand else no
            case 0x45:
                at += yes if accumulator & operand else no
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"seccomp takes no instruction {operation:#x}")


def judge(machine: str, number: int, *arguments: int, arch: str | None = None) -> str:
    """The answer to a call: allowed, killed, or the name of its errno."""
    data = struct.pack(
        "<iIQ6Q",
        number - 2**32 if number >= 2**31 else number,
        ARCHES[arch or machine],
        0x401000,
        *(argument % 2**64 for argument in (*arguments, *[0] * 6)[:6]),
    )
    verdict = interpret(PROGRAMS[machine], data)
    match verdict & 0xFFFF0000:
        case 0x7FFF0000:
            return ALLOWED
        case 0x80000000:
            return KILLED
        case 0x00050000:
            return errno.errorcode[verdict & 0xFFFF]
    raise AssertionError(f"unexpected verdict {verdict:#x}")


def call(machine: str, name: str, *arguments: int) -> str:
    return judge(machine, NUMBERS[machine][name], *arguments)


def reference(machine: str, number: int, arguments: list[int]) -> str:
    """The policy written a second time, as plainly as Python allows."""
    if number > NEWEST:
        return "ENOSYS"
    names = [name for name, known in NUMBERS[machine].items() if known == number]
    if not names:
        return ALLOWED
    low = [argument & 0xFFFFFFFF for argument in arguments]
    first, second, third = low[:3]
    match names[0]:
        case "open" | "openat" as name if not low[MODES[name] - 1] & 0x400040:
            refused = False
        case name if name in MODES:
            refused = low[MODES[name]] & 0o6000
        case "clone":
            refused = first & 0x7E020000
        case "unshare":
            refused = first & ~0x40600
        case "ptrace":
            refused = first in (16, 0x4206)
        case "ioctl":
            refused = second in (0x5412, 0x541C, 0x5423)
        case "socketpair":
            return ALLOWED if first == 1 else "EAFNOSUPPORT"
        case "socket" if first == 1:
            refused = False
        case "socket" if first in (2, 10):
            if second & 15 in (1, 2):
                return ALLOWED if third in (0, 1, 6, 17, 58) else "EPROTONOSUPPORT"
            refused = True
        case "socket" if first == 16:
            return "EPROTONOSUPPORT" if third else ALLOWED
        case "socket":
            return "EAFNOSUPPORT"
        case name:
            return "ENOSYS" if name in NO_SUCH_CALL else "EPERM"
    return "EPERM" if refused else ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", EVERYDAY)
def test_everyday_calls_are_allowed(machine: str, name: str) -> None:
    number = EVERYDAY[name][MACHINES.index(machine)]
    assert judge(machine, number, *[2**64 - 1] * 6) == ALLOWED


@pytest.mark.parametrize(
    ("machine", "name"),
    [(machine, name) for machine in MACHINES for name in NUMBERS[machine] if name not in COMPARED],
)
@pytest.mark.parametrize("argument", [0, 1, 2**64 - 1])
def test_refused_calls_are_refused_whatever_they_ask(
    machine: str, name: str, argument: int
) -> None:
    wanted = "ENOSYS" if name in NO_SUCH_CALL else "EPERM"
    assert call(machine, name, *[argument] * 6) == wanted


HIGH = 0xDEADBEEF << 32  # bits the kernel drops from an int

CONDITIONS = [
    ("clone", (0x01200011,), ALLOWED),  # fork() of glibc
    ("clone", (0x003D0F00,), ALLOWED),  # pthread_create() of glibc
    ("clone", (0x00004111,), ALLOWED),  # vfork and posix_spawn
    *(("clone", (flag | 17,), "EPERM") for flag in (0x20000, *(1 << bit for bit in range(25, 31)))),
    ("clone", (HIGH | 0x10000011,), "EPERM"),
    ("unshare", (0x400,), ALLOWED),
    ("unshare", (0x40600,), ALLOWED),
    *(("unshare", (flag,), "EPERM") for flag in (0x80, 0x20000, *(1 << b for b in range(25, 31)))),
    ("unshare", (HIGH | 0x10000000,), "EPERM"),
    ("unshare", (0x10000400,), "EPERM"),
    ("ptrace", (0,), ALLOWED),  # PTRACE_TRACEME
    ("ptrace", (7, 42), ALLOWED),  # PTRACE_CONT
    ("ptrace", (0x4200, 42), ALLOWED),  # PTRACE_SETOPTIONS
    ("ptrace", (16, 42), "EPERM"),
    ("ptrace", (0x4206, 42), "EPERM"),
    ("ptrace", (HIGH | 16, 42), "EPERM"),
    ("ioctl", (0, 0x5401), ALLOWED),  # TCGETS
    ("ioctl", (0, 0x5413), ALLOWED),  # TIOCGWINSZ
    ("ioctl", (0x5412, 0x5401, 0x5412), ALLOWED),  # only the second argument is the request
    ("ioctl", (0, 0x5412), "EPERM"),
    ("ioctl", (0, 0x541C), "EPERM"),
    ("ioctl", (0, 0x5423), "EPERM"),
    ("ioctl", (0, 0x1_0000_5412), "EPERM"),
    ("ioctl", (0, HIGH | 0x541C), "EPERM"),
    ("socket", (1, 1), ALLOWED),
    ("socket", (1, 5), ALLOWED),  # Unix SOCK_SEQPACKET
    ("socket", (2, 1), ALLOWED),
    ("socket", (2, 0x80801, 6), ALLOWED),  # SOCK_CLOEXEC | SOCK_NONBLOCK | SOCK_STREAM, TCP
    ("socket", (10, 2, 17), ALLOWED),
    ("socket", (2, 2, 1), ALLOWED),  # ping
    ("socket", (HIGH | 2, HIGH | 1, HIGH), ALLOWED),
    ("socket", (16, 3, 0), ALLOWED),  # netlink, as getifaddrs()
    ("socket", (16, 3, 9), "EPROTONOSUPPORT"),  # audit
    ("socket", (16, 3, 12), "EPROTONOSUPPORT"),  # netfilter
    ("socket", (2, 3, 6), "EPERM"),  # SOCK_RAW
    ("socket", (10, 0x80003, 58), "EPERM"),
    ("socket", (2, 10, 0x300), "EPERM"),  # SOCK_PACKET
    ("socket", (2, HIGH | 10, 0x300), "EPERM"),
    ("socket", (2, 5, 132), "EPERM"),  # SCTP
    ("socket", (2, 1, 132), "EPROTONOSUPPORT"),
    ("socket", (2, 1, 262), "EPROTONOSUPPORT"),  # MPTCP
    ("socket", (2, 1, 256), "EPROTONOSUPPORT"),  # SMC
    ("socket", (10, 2, 136), "EPROTONOSUPPORT"),  # UDP-Lite
    *(("socket", (family, 1), "EAFNOSUPPORT") for family in (0, 3, 17, 21, 29, 30, 38, 40, 44)),
    ("socket", (HIGH | 40, 1), "EAFNOSUPPORT"),
    ("socketpair", (1, 1), ALLOWED),
    ("socketpair", (HIGH | 1, 1), ALLOWED),
    ("socketpair", (2, 1), "EAFNOSUPPORT"),
    ("socketpair", (30, 1), "EAFNOSUPPORT"),  # TIPC
    ("fchmod", (3, 0o1777), ALLOWED),
    ("fchmod", (3, 0o4755), "EPERM"),
    ("fchmod", (3, 0o2755), "EPERM"),
    ("fchmod", (3, HIGH | 0o4000), "EPERM"),
    ("fchmod", (0o4755, 0o755), ALLOWED),  # a descriptor is no mode
    ("fchmodat", (0, 0, 0o755, 0o4755), ALLOWED),
    ("fchmodat", (0, 0, 0o4755), "EPERM"),
    ("fchmodat2", (0, 0, 0o2755), "EPERM"),
    ("mknodat", (0, 0, 0o104755), "EPERM"),
    ("mknodat", (0, 0, 0o010644), ALLOWED),  # a FIFO
    ("openat", (0, 0, 0o100, 0o666), ALLOWED),
    ("openat", (0, 0, 0o2, 0o6777), ALLOWED),  # nothing is created
    ("openat", (0, 0, 0o101, 0o4755), "EPERM"),
    ("openat", (0, 0, 0o20200002, 0o4755), "EPERM"),  # O_TMPFILE
    ("openat", (0, 0, HIGH | 0o100, HIGH | 0o2755), "EPERM"),
]
OF_X86_64 = [
    ("chmod", (0, 0o755), ALLOWED),
    ("chmod", (0, 0o4755), "EPERM"),
    ("creat", (0, 0o644), ALLOWED),
    ("creat", (0, 0o2755), "EPERM"),
    ("mknod", (0, 0o104755), "EPERM"),
    ("open", (0, 0o102, 0o644), ALLOWED),
    ("open", (0, 0o102, 0o4755), "EPERM"),
    ("open", (0, 0, 0o4755), ALLOWED),
]


@pytest.mark.parametrize(
    ("machine", "name", "arguments", "wanted"),
    [
        *((machine, *condition) for machine in MACHINES for condition in CONDITIONS),
        *(("x86_64", *condition) for condition in OF_X86_64),
    ],
)
def test_calls_judged_by_what_they_ask(
    machine: str, name: str, arguments: tuple[int, ...], wanted: str
) -> None:
    assert call(machine, name, *arguments) == wanted


@pytest.mark.parametrize(
    ("machine", "arch"),
    [("x86_64", "i386"), ("x86_64", "aarch64"), ("aarch64", "arm"), ("aarch64", "x86_64")],
)
@given(number=WORD, arguments=ARGUMENTS)
def test_another_architecture_is_killed(
    machine: str, arch: str, number: int, arguments: list[int]
) -> None:
    assert judge(machine, number, *arguments, arch=arch) == KILLED


@pytest.mark.parametrize("machine", MACHINES)
@given(number=st.integers(NEWEST + 1, 2**32 - 1), arguments=ARGUMENTS)
@example(number=0x40000000 + 250, arguments=[0] * 6)  # keyctl by x32
@example(number=0x40000000, arguments=[0] * 6)
@example(number=521, arguments=[16] * 6)  # ptrace of x32, without its bit
@example(number=NEWEST + 1, arguments=[0] * 6)
@example(number=2**32 - 1, arguments=[0] * 6)
def test_numbers_nobody_has_judged_do_not_exist(
    machine: str, number: int, arguments: list[int]
) -> None:
    assert judge(machine, number, *arguments) == "ENOSYS"


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_agrees_with_the_plain_policy(machine: str) -> None:
    """The tree of comparisons puts no number on the wrong side of one."""
    for number in range(NEWEST + 50):
        for arguments in ([0] * 6, [2, 1, 6, 0, 0, 0], [0, 0o100, 0o100, 0, 0, 0], [2**64 - 1] * 6):
            assert judge(machine, number, *arguments) == reference(machine, number, arguments)


INTERESTING = st.sampled_from(
    [0, 1, 2, 3, 10, 16, 40, 0o100, 0o755, 0x400, 0o4755, 0x4206, 0x5412, 0x541C, 0x5423]
) | st.sampled_from([0x20000, 0x400000, 0x10000000])


@pytest.mark.parametrize("machine", MACHINES)
@given(data=st.data())
def test_arguments_agree_with_the_plain_policy(machine: str, data: st.DataObject) -> None:
    """Whatever stands in the high halves, the low ones decide."""
    name = data.draw(st.sampled_from(sorted(COMPARED & NUMBERS[machine].keys())))
    lows = data.draw(st.lists(INTERESTING | WORD, min_size=6, max_size=6))
    highs = data.draw(st.lists(st.sampled_from([0, 1, 0xFFFFFFFF]) | WORD, min_size=6, max_size=6))
    arguments = [high << 32 | low for high, low in zip(highs, lows, strict=True)]
    number = NUMBERS[machine][name]
    assert judge(machine, number, *arguments) == reference(machine, number, lows)


def test_each_call_has_one_rule_and_a_number() -> None:
    named = [name for rule in POLICY for name in rule.calls.split()]
    assert sorted(named) == sorted(NUMBERS["x86_64"])
    assert set(NUMBERS["aarch64"]) == set(named) - ONLY_X86_64
    assert all(rule.why.endswith(".") for rule in POLICY)
    for machine in MACHINES:
        numbers = NUMBERS[machine].values()
        assert len(set(numbers)) == len(numbers)
        assert max(numbers) <= NEWEST


HEADERS = {
    "x86_64": (
        Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        Path("/usr/include/asm/unistd_64.h"),
    ),
    "aarch64": (Path("/usr/include/asm-generic/unistd.h"),),
}


@pytest.mark.parametrize(
    ("machine", "name"), [(machine, name) for machine in MACHINES for name in NUMBERS[machine]]
)
def test_numbers_are_those_of_the_kernel_headers(machine: str, name: str) -> None:
    header = next((path for path in HEADERS[machine] if path.exists()), None)
    if header is None:
        pytest.skip(f"no second source: none of {', '.join(map(str, HEADERS[machine]))}")
    found = re.search(rf"^#define __NR_{name}\s+(\d+)$", header.read_text(), re.MULTILINE)
    if found is None:
        pytest.skip(f"no second source: {header} is older than {name} or has dropped it")
    assert NUMBERS[machine][name] == int(found[1])


@pytest.mark.parametrize("machine", ["i686", "armv7l", "riscv64", "", "X86_64"])
def test_a_machine_without_a_table_gets_no_box(machine: str) -> None:
    with pytest.raises(RuntimeUnavailable, match="no system-call filter"):
        filter_program(machine)


def test_what_is_kept_is_what_is_compiled() -> None:
    """Red? `make filters`, and look at what has changed."""
    assert filters_module() == Path(filters.__file__).read_text()


@pytest.mark.parametrize("machine", MACHINES)
def test_the_program_is_short(machine: str) -> None:
    """A jump has 8 bits; this leaves room to add rules before `assemble` says no."""
    program = filter_program(machine)
    assert len(program) % 8 == 0
    assert len(program) // 8 <= 160


def chain(length: int) -> Node:
    """Tests in a row that share one target, which stands at the very end."""
    node: Node = Return(0)
    for value in range(length):
        node = Test(EQUAL, value, Return(1), node)
    return node


def test_the_longest_jump_still_lands() -> None:
    """255 instructions lie between the first test and the verdict it jumps to."""
    program = assemble(Load(0, chain(255)))
    assert interpret(program, struct.pack("<I", 0)) == 1
    assert interpret(program, struct.pack("<I", 254)) == 1
    assert interpret(program, struct.pack("<I", 255)) == 0


def test_a_longer_jump_is_an_error() -> None:
    with pytest.raises(OverflowError, match="256 instructions; the limit is 255"):
        assemble(Load(0, chain(256)))


def test_a_node_used_twice_is_written_once() -> None:
    shared = Load(4, Mask(0xF, Test(EQUAL, 5, Return(1), Return(2))))
    program = assemble(Load(0, Test(EQUAL, 0, Mask(0, shared), Mask(1, shared))))
    words = [struct.pack("<II", first, second) for first in (0, 1) for second in (0x15, 6)]
    assert [interpret(program, word) for word in words] == [1, 2, 1, 2]
    assert len(program) // 8 == 10  # 9 nodes, and a jump to the one that cannot follow twice


@given(starts=st.sets(WORD, max_size=60), value=WORD)
def test_a_switch_takes_the_last_case_not_above(starts: set[int], value: int) -> None:
    cases = sorted({0} | starts)
    program = assemble(Load(0, switch([(first, Return(first)) for first in cases])))
    wanted = max(first for first in cases if first <= value)
    assert interpret(program, struct.pack("<I", value)) == wanted
