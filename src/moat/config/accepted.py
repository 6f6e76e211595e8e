"""What the person has agreed to: which bytes of which project file.

A project file comes with somebody's repository and can be written by the agent, so it counts for
nothing until the person has seen what it asks for. One file here for each project file agreed to;
one that cannot be read, or is not what we wrote, is as good as none.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from pathlib import Path

from moat.config.description import describe, describe_change
from moat.config.project_file import ProjectFile
from moat.errors import UnsafeFile, system_error
from moat.files import ensure_private_dir, open_private_file, write_atomic

__all__ = ["Accepted", "describe", "describe_change"]

FORMAT = 1
# A project file is limited (yaml.MAX_BYTES), and no byte of it takes more than six here.
_MAX_BYTES = 8 << 20


class Accepted:
    """The project files the person has agreed to, kept below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def is_accepted(self, file: ProjectFile) -> bool:
        """Whether the person has agreed to exactly these bytes at exactly this path."""
        text = self.previous(file)
        return text is not None and text.encode() == file.content

    def previous(self, file: ProjectFile) -> str | None:
        """Return what the file said when the person last agreed to it, if they did."""
        try:
            with open_private_file(self._place(file.path)) as opened:
                return _text(opened.read(_MAX_BYTES), file.path)
        except (OSError, UnsafeFile):
            return None

    def accept(self, file: ProjectFile) -> None:
        """Keep that the person has agreed to a file that was read. Raises MoatError."""
        document = {
            "format": FORMAT,
            "path": str(file.path),
            "digest": file.digest,
            "accepted_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "text": file.content.decode(),
        }
        content = json.dumps(document, indent=2).encode() + b"\n"
        ensure_private_dir(self._directory)
        try:
            write_atomic(self._place(file.path), content, mode=0o600)
        except OSError as error:
            raise system_error(error) from None

    def forget(self, path: Path) -> None:
        """Keep no longer that the person has agreed to the file at `path`. Raises MoatError."""
        try:
            self._place(path).unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise system_error(error) from None

    def _place(self, path: Path) -> Path:
        return self._directory / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"


def _text(content: bytes, path: Path) -> str | None:
    try:
        document = json.loads(content)
        if document["format"] != FORMAT or document["path"] != str(path):
            return None
        text: str = document["text"]
        same = hashlib.sha256(text.encode()).hexdigest() == document["digest"]
    # Whatever else stands there: not JSON, not a table, not text, nested without end.
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return text if same else None
