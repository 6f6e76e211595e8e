"""What git keeps in `objects`, `refs` and `logs` of a repository, where nothing of it is obeyed.

Everything else that lies there is somebody's who hides it. These directories hold most of what a
repository is made of, so they are told apart by names; a file is read only where a branch would
have a name that git obeys elsewhere.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from moat.workspace.executed import GIT_KEEPS
from moat.workspace.tree import mode_of, text_of

_HASH = "[0-9a-f]{40}(?:[0-9a-f]{24})?"
_FAN = re.compile(r"objects/[0-9a-f]{2}").fullmatch
_OBJECT = re.compile(r"[0-9a-f]{38}(?:[0-9a-f]{24})?|tmp_obj_\w+").fullmatch
_FILES = {
    "objects": re.compile(r"tmp_obj_\w+|maintenance\.lock"),
    "objects/pack": re.compile(
        rf"pack-{_HASH}\.\w+|multi-pack-index(?:-{_HASH})?(?:\.\w+)?"
        r"|tmp_\w+|\.tmp-\d+-pack[-.\w]*"
    ),
    "objects/pack/multi-pack-index.d": re.compile(r"multi-pack-index[-.\w]*|tmp_\w+"),
    "objects/info": re.compile(
        r"(?:alternates|http-alternates|packs|commit-graph)(?:\.lock)?|(?:tmp_)?packs_\w+"
        r"|(?:tmp_)?commit-graph\w*"
    ),
    "objects/info/commit-graphs": re.compile(
        rf"graph-{_HASH}\.graph|commit-graph-chain(?:\.lock)?|tmp_\w+"
    ),
}
_DIRECTORIES = frozenset(
    ("objects/info", "objects/pack", *(path for path in _FILES if path.count("/") > 1))
)
# Branches may have any name. What is obeyed of a repository that lies among them has one of these,
# or is a hook.
_OBEYED = frozenset(
    {"HEAD", "commondir", "config", "config.worktree", "attributes", "git-rebase-todo"}
)
_REF = re.compile(rf"(?:{_HASH}\n?|ref: refs/\S+\n?)?").fullmatch
_LOG = re.compile(rf"(?:{_HASH} {_HASH} [^\n]*\n)*").fullmatch

STRANGE = ""
"""What stands for the place of a directory that git does not make: all in it is told of."""


def below_own(root: Path, here: str, name: str, kept: str | None) -> str | None:
    """Where a directory is below a repository's own, if git keeps there what nobody obeys, or
    STRANGE; None where names say what is obeyed. `kept` says so of the directory it is in."""
    if kept is None:
        own = here.rpartition("/")[2] == ".git" or mode_of(root / here / "HEAD") is not None
        return name if name in GIT_KEEPS and own else None
    if kept == STRANGE:
        # It may be a repository, with directories of git's.
        return below_own(root, here, name, None) or STRANGE
    path = f"{kept}/{name}"
    if kept.startswith("objects") and path not in _DIRECTORIES and not _FAN(path):
        return STRANGE
    return path


def not_gits(kept: str | None, entries: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """What of a directory's, such as `below_own` says it is, git does not keep there, and all
    directories and links."""
    if not kept:
        return entries
    if kept.startswith("objects"):
        known = _FILES.get(kept)
        is_gits = _OBJECT if known is None else known.fullmatch
        return [
            one for one in entries if not (is_gits(one.name) and one.is_file(follow_symlinks=False))
        ]
    if "hooks" not in kept:
        entries = [
            one for one in entries if one.name in _OBEYED or not one.is_file(follow_symlinks=False)
        ]
    return [
        one
        for one in entries
        if not (one.is_file(follow_symlinks=False) and _is_ref(kept, one.path))
    ]


def holds_only_gits(kept: str | None, place: Path, status: os.stat_result) -> bool:
    """Whether there is nothing in a directory but what git keeps, told quickly, where one without
    directories has two links. Whatever else is a link is one that has no name that is obeyed."""
    if not kept or status.st_nlink != 2:
        return False
    names = os.listdir(place)  # noqa: PTH208  # names are all that is needed
    if _FAN(kept):
        return not "".join(names).strip("0123456789abcdef") and {38, 62}.issuperset(map(len, names))
    return not kept.startswith("objects") and "hooks" not in kept and _OBEYED.isdisjoint(names)


def _is_ref(kept: str, path: str) -> bool:
    """Whether it is what it should be, so that git obeys nothing of it under any name."""
    mode = mode_of(path) or 0
    is_one = _LOG if kept.startswith("logs") else _REF
    return stat.S_ISREG(mode) and not mode & 0o111 and is_one(text_of(Path(path))) is not None
