"""A decision written as a tree of values, and its assembly into classic BPF for seccomp.

A node says what to do and which node is next, so a program is one immutable value: it can be
compared, shared and tested without a kernel. Equal nodes are assembled once. Every jump goes
forward (classic BPF has no others, which is why each program ends). The instructions are those
seccomp takes, see `seccomp_check_filter()` in the kernel's `kernel/seccomp.c`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

INSTRUCTION: Final = struct.Struct("=HBBI")
"""`struct sock_filter`: code, offset if true, offset if false, operand; in the machine's order."""

LOAD_WORD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
RETURN: Final = 0x06  # BPF_RET | BPF_K
GOTO: Final = 0x05  # BPF_JMP | BPF_JA; its offset is the 32-bit operand
EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K, unsigned
ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K

MAX_OFFSET: Final = 0xFF  # a conditional jump holds its two offsets in 8 bits each
MAX_INSTRUCTIONS: Final = 4096  # BPF_MAXINSNS


@dataclass(frozen=True, slots=True)
class Return:
    """Ends the program with a `SECCOMP_RET_*` value."""

    value: int


@dataclass(frozen=True, slots=True)
class Load:
    """Takes the 32-bit word at `offset` of `struct seccomp_data` as the value to look at."""

    offset: int
    then: Node


@dataclass(frozen=True, slots=True)
class Mask:
    """Keeps only these bits of the value."""

    bits: int
    then: Node


@dataclass(frozen=True, slots=True)
class Test:
    """Compares the value with `operand` and goes one of two ways."""

    __test__ = False  # not a pytest class

    jump: Literal[0x15, 0x35, 0x45]
    operand: int
    yes: Node
    no: Node


Node = Return | Load | Mask | Test


def one_of(values: Sequence[int], *, yes: Node, no: Node) -> Node:
    """The node that goes to `yes` when the value is one of these."""
    node = no
    for value in reversed(values):
        node = Test(EQUAL, value, yes, node)
    return node


def switch(cases: Sequence[tuple[int, Node]]) -> Node:
    """The balanced tree in which a case (first, node) holds from `first` up to the next case.

    The cases are sorted and the first is 0, so that every value has one.
    """
    if len(cases) == 1:
        return cases[0][1]
    middle = len(cases) // 2
    return Test(AT_LEAST, cases[middle][0], switch(cases[middle:]), switch(cases[:middle]))


def assemble(root: Node) -> bytes:
    """The program that decides as `root` does: an array of `struct sock_filter`.

    It is written from its end, so that where a jump goes is known when the jump is written.
    Raises OverflowError when a jump or the program is longer than classic BPF allows; a filter
    that does not fit is never cut short.
    """
    reversed_code: list[bytes] = []
    placed: dict[Node, int] = {}  # how many instructions remain from this node on

    def offset(target: int, limit: int) -> int:
        distance = len(reversed_code) - target
        if distance > limit:
            raise OverflowError(f"a jump over {distance} instructions; the limit is {limit}")
        return distance

    def write(code: int, operand: int, yes: int = 0, no: int = 0) -> int:
        reversed_code.append(INSTRUCTION.pack(code, yes, no, operand))
        return len(reversed_code)

    def place(node: Node) -> int:
        if node not in placed:
            placed[node] = place_new(node)
        return placed[node]

    def place_new(node: Node) -> int:
        match node:
            case Return(value):
                return write(RETURN, value)
            case Load(operand, then) | Mask(operand, then):
                target = place(then)
                if target != len(reversed_code):
                    write(GOTO, offset(target, MAX_INSTRUCTIONS))
                return write(LOAD_WORD if isinstance(node, Load) else AND, operand)
            case Test(jump, operand, yes, no):
                targets = place(yes), place(no)
                return write(jump, operand, *(offset(target, MAX_OFFSET) for target in targets))

    place(root)
    if len(reversed_code) > MAX_INSTRUCTIONS:
        raise OverflowError(f"{len(reversed_code)} instructions; the limit is {MAX_INSTRUCTIONS}")
    return b"".join(reversed(reversed_code))
