"""What may be typed at a place of a command line, for a shell that completes it.

Reads little, makes nothing, and says nothing where it does not know.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from moat.cli.main import all_commands

# Of each command, the kinds of its words in their order, the last for all that follow, and its
# options; behind `=` the kind of an option's value, which is nothing we know where none stands.
_RUN = (
    "-g=grant --grant=grant --allow-host=group --policy=policy -e= --env= -m=path --mount=path "
    "--allow-write=path --worktree= --timeout= --memory= --pids= --cpus= --disk= -n= --name= "
    "-d --detach -q --quiet --unfiltered --trust --dry-run --json"
)
_LIVE = "--run=live --once --always"
COMMANDS = {
    "codex": ("dir", f"-p= --prompt= --model= --resume --noyolo --full-auto=bool {_RUN}"),
    "run": ("", f"-w=dir --workspace=dir {_RUN}"),
    "proxy": (
        "",
        "--listen= -g=grant --grant=grant --allow-host=group --allow=group --policy=policy "
        "--token-file=path --no-token -n= --name= --json",
    ),
    "grant": ("grantable", "--no-validate --json"),
    "revoke": ("grant", ""),
    "attach": ("live", "--watch -q --quiet"),
    "exec": ("live", "-t --tty"),
    "list": ("", "-a --all --json"),
    "status": ("run", "--json"),
    "wait": ("run", ""),
    "stop": ("live", "-a --all --timeout="),
    "kill": ("live", "-a --all"),
    "rm": ("run", "-f --force"),
    "clean": ("", "--older-than= --dry-run"),
    "logs": ("run", "-f --follow -n= --lines= --since="),
    "replay": ("run", "--speed= --idle-limit="),
    "receipt": ("run", "--json"),
    "events": ("run", "-f --follow -n= --lines= --since= --json"),
    "trace": ("run", "--json"),
    "allow": ("group method", _LIVE),
    "deny": ("group method", _LIVE),
    "approve": ("", f"{_LIVE} --deny --json"),
    "worktree": ("worktree", "--force --dry-run --json"),
    "policy": ("groups", "--json"),
    "doctor": ("", "--json"),
    "completion": ("shell", ""),
    "version": ("", "--json"),
}
# Where a command of the person's own follows two dashes.
_WITH_COMMAND = ("run", "exec")
# Kinds of words that the shell itself knows.
_OF_THE_SHELL = {"dir": ":dirs", "path": ":files", "command": ":commands"}
_FIXED = {
    "policy": ("strict", "ask", "permissive"),
    "bool": ("true", "false"),
    "shell": ("bash", "zsh", "fish"),
    "worktree": ("list", "clean"),
    "groups": ("groups",),
    "method": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
}

Words = Iterable[str]


def words_for(typed: Sequence[str]) -> Iterator[str]:
    """What may come for the last of these words, the others standing before it.

    With what it is about behind a tab; `:files`, `:dirs` and `:commands` are the shell's to find.
    """
    *before, last = typed or [""]
    for word in _candidates(before, last):
        if word.startswith((last, ":")) and (last or not word.startswith("-")):
            yield word


def _candidates(before: Sequence[str], last: str) -> Words:
    if not before:
        return [f"{name}\t{line}" for name, line in all_commands().items()]
    command, *rest = before
    if command not in COMMANDS:
        return ()
    if "--" in rest:
        own = rest[rest.index("--") + 1 :]
        return _of_kind("path" if own or command not in _WITH_COMMAND else "command")
    kinds, options = _grammar(command)
    if rest and (kind := options.get(rest[-1])) is not None:
        return _of_kind(kind)
    if last.startswith("-"):
        name, equals, _ = last.partition("=")
        if equals:
            return [f"{name}={word}" for word in _of_kind(options.get(name) or "")]
        return [*options, "--help", *(["--"] if command in _WITH_COMMAND else [])]
    place = sum(1 for _ in _positional(rest, options))
    return _of_kind(kinds[min(place, len(kinds) - 1)]) if kinds else ()


def _grammar(command: str) -> tuple[list[str], dict[str, str | None]]:
    kinds, options = COMMANDS[command]
    split = (option.partition("=") for option in options.split())
    return kinds.split(), {name: kind if equals else None for name, equals, kind in split}


def _positional(words: Iterable[str], options: dict[str, str | None]) -> Iterator[str]:
    """Those that are no options, nor their values."""
    value = False
    for word in words:
        if not value and not word.startswith("-"):
            yield word
        value = not value and options.get(word) is not None


def _of_kind(kind: str) -> Words:
    if kind in _OF_THE_SHELL:
        return [_OF_THE_SHELL[kind]]
    if kind in _FIXED:
        return _FIXED[kind]
    find = _FOUND.get(kind)
    with contextlib.suppress(Exception):  # whatever is wrong is told where it is used
        return find() if find else ()
    return ()


def _runs(*, live: bool) -> list[str]:
    from moat.cli.options import find_home
    from moat.run.finding import list_runs
    from moat.run.record import LIVE

    found = []
    for record in list_runs(find_home().runs):
        if record.state in LIVE or not live:
            about = f"{record.state}: {' '.join(record.command)}".split("\n")[0][:60]
            found += [f"{word}\t{about}" for word in (record.name, record.run) if word]
    return [*dict.fromkeys(found)]


def _grants() -> list[str]:
    from moat.cli.options import find_home

    stored = find_home().credentials / "default"
    return sorted(file.stem for file in stored.glob("*.json"))


def _grantable() -> list[str]:
    return [*dict.fromkeys(["openai", "header", "mcp:", "list", *_grants()])]


def _groups() -> list[str]:
    from moat.cli.options import find_home
    from moat.config.settings import load_settings
    from moat.run.groups import KNOWN

    own: list[str] = []
    with contextlib.suppress(Exception):  # those that every machine has are there without it
        own = [name for name, _ in load_settings(find_home()).network.groups]
    return [f"@{name}" for name in (*KNOWN, *own)]


_FOUND: dict[str, Callable[[], list[str]]] = {
    "run": lambda: _runs(live=False),
    "live": lambda: _runs(live=True),
    "grant": _grants,
    "grantable": _grantable,
    "group": _groups,
}


def show_words(typed: Sequence[str]) -> None:
    """Print them, to a shell that may not wait for them."""
    with contextlib.suppress(OSError):
        os.write(1, "".join(f"{_plain(word)}\n" for word in words_for(typed)).encode())


def _plain(word: str) -> str:
    """Nothing that a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in word)
