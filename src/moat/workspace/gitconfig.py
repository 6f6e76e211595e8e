"""Reading git's settings without asking git, which would obey them. Pure, and tolerant.

What is not understood is left out: git refuses a file with mistakes, so it obeys none of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

_SECTION = re.compile(r'\s*\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')
_KEY = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)[ \t\r]*(=?)")
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b"}
_NOT_A_PATH = frozenset({"", "true", "false", "yes", "no", "on", "off", "1", "0"})
# Settings whose values are lines for a shell, or programs: by section, the first and the last part
# of a name; of some sections all.
_COMMANDS = {
    "browser": {"cmd", "path"},
    "core": {
        *("alternaterefscommand", "askpass", "editor", "fsmonitor"),
        *("gitproxy", "pager", "sshcommand"),
    },
    "credential": {"helper"},
    "diff": {"command", "external", "textconv"},
    "difftool": {"cmd", "path"},
    "filter": {"clean", "process", "smudge"},
    "gc": {"recentobjectshook"},
    "gpg": {"defaultkeycommand", "program"},
    "guitool": {"cmd"},
    "hook": {"command"},
    "imap": {"tunnel"},
    "instaweb": {"httpd"},
    "interactive": {"difffilter"},
    "man": {"cmd", "path"},
    "merge": {"driver"},
    "mergetool": {"cmd", "path"},
    "remote": {"receivepack", "uploadpack"},
    "sendemail": {"cccmd", "headercmd", "sendmailcmd", "smtpserver", "tocmd"},
    "sequence": {"editor"},
    "submodule": {"update"},
    "tar": {"command"},
    "trailer": {"cmd", "command"},
    "uploadpack": {"packobjectshook"},
}
_ALL_COMMANDS = frozenset({"alias", "pager"})


class Reference(NamedTuple):
    """A path that settings lead git to: a directory of `hooks`, a further file of settings
    (`include`), or a file that a `command` names, which may be none."""

    kind: Literal["hooks", "include", "command"]
    path: str


def settings_of(text: str) -> Iterator[tuple[str, str]]:
    """Names, with section and key in small letters, and values, in their order."""
    prefix, at = "", 0
    while at < len(text):
        if section := _SECTION.match(text, at):
            below = section[2]
            prefix = section[1].lower() + "."
            if below is not None:
                prefix += re.sub(r"\\(.)", r"\1", below) + "."
            at = section.end()
        elif key := _KEY.match(text, at):
            value, at = _value(text, key.end()) if key[2] else ("true", _line_end(text, key.end()))
            yield prefix + key[1].lower(), value
        else:
            at = _line_end(text, at) + 1


def references(settings: Iterator[tuple[str, str]]) -> Iterator[Reference]:
    """The paths that settings lead to, as they are written."""
    for name, value in settings:
        if name == "core.hookspath":
            yield Reference("hooks", value)
        elif name == "include.path" or (name.startswith("includeif.") and name.endswith(".path")):
            yield Reference("include", value)
        elif _is_command(name) and value.lower() not in _NOT_A_PATH:
            yield from _words(value)


def _is_command(name: str) -> bool:
    section, _, rest = name.partition(".")
    return section in _ALL_COMMANDS or rest.rpartition(".")[2] in _COMMANDS.get(section, ())


def _words(line: str) -> Iterator[Reference]:
    """What of a line for a shell may be the path of a file."""
    for word in re.split(r"[\s;|&<>()`\"'=!$]+", line):
        if word and not word.startswith("-"):
            yield Reference("command", word)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _value(text: str, at: int) -> tuple[str, int]:
    """The value that begins here, and where it ends: quotes and escapes undone, lines joined."""
    kept, plain, quoted = "", "", False
    while at < len(text) and text[at] != "\n":
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            at += 1
            char = "" if text[at] == "\n" else _ESCAPES.get(text[at], text[at])
            kept, plain = kept + plain + char, ""
        elif char == '"':
            quoted = not quoted
            kept, plain = kept + plain, ""
        elif char in "#;" and not quoted:
            at = _line_end(text, at)
            break
        elif quoted or not char.isspace():
            kept, plain = kept + plain + char, ""
        elif kept:
            plain += char  # kept once something stands behind it
        at += 1
    return kept, at
