"""One guard, and how it is switched off: a few words of its source, replaced by others.

The source is changed as it is imported, in a process of its own, so that whoever imports the guard
by name gets the changed one as well. Nothing is written to disk.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType


class Gone(Exception):
    """A guard is not where the table says it is, or not as it says."""


@dataclass(frozen=True)
class Guard:
    """A guard: what it is called, where it stands, and who notices that it is gone.

    `where` is `module:Class.function`, or `module:NAME` for a constant. In its source `old`, which
    stands there exactly once, becomes `new`. `attacks` are ids of tests, of which one fails then.
    """

    name: str
    where: str
    old: str
    new: str
    attacks: tuple[str, ...]

    @property
    def module(self) -> str:
        """The module it stands in."""
        return self.where.partition(":")[0]


def switched_off(source: str, off: Guard) -> str:
    """The source of a module without one of its guards. Raises Gone."""
    start, end = _lines_of(source, off)
    lines = source.splitlines(keepends=True)
    text = "".join(lines[start:end])
    if text.count(off.old) != 1:
        raise Gone(f"{off.name}: {off.where} has {off.old!r} {text.count(off.old)} times")
    changed = "".join([*lines[:start], text.replace(off.old, off.new), *lines[end:]])
    if ast.dump(ast.parse(changed)) == ast.dump(ast.parse(source)):
        raise Gone(f"{off.name}: nothing changes")
    return changed


def check(off: Guard) -> None:
    """Whether a guard is where the table says, and can be switched off. Raises Gone."""
    spec = find_spec(off.module)
    if spec is None or spec.origin is None:
        raise Gone(f"{off.name}: there is no {off.module}")
    try:
        switched_off(Path(spec.origin).read_text(), off)
    except SyntaxError as error:
        raise Gone(f"{off.name}: {error}") from error


def _lines_of(source: str, off: Guard) -> tuple[int, int]:
    """The first line of what a guard stands in, from 0, and the one behind its last."""
    node: ast.AST = ast.parse(source)
    for name in off.where.partition(":")[2].split("."):
        found = [child for child in ast.iter_child_nodes(node) if name in _names(child)]
        if len(found) != 1:
            raise Gone(f"{off.name}: there is no {off.where}")
        (node,) = found
    assert isinstance(node, ast.stmt)
    assert node.end_lineno is not None
    return node.lineno - 1, node.end_lineno


def _names(node: ast.AST) -> Sequence[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


class _Loader(SourceFileLoader):
    off: Guard

    def get_code(self, fullname: str) -> CodeType:
        """The changed module; what is cached of it elsewhere is neither read nor written."""
        path = self.get_filename(fullname)
        source = self.get_data(path).decode()
        return compile(switched_off(source, self.off), path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, off: Guard) -> None:
        self._off = off

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._off.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            raise Gone(f"{self._off.name}: there is no {fullname}")
        spec.loader = _Loader(fullname, spec.origin)
        spec.loader.off = self._off
        return spec


def switch_off(off: Guard) -> None:
    """Switch a guard off in this process, for good. Raises Gone if its module is imported."""
    if off.module in sys.modules:
        raise Gone(f"{off.name}: {off.module} is imported already")
    sys.meta_path.insert(0, _Finder(off))
