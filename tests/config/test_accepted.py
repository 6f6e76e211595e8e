"""What the person agreed to is kept to the byte, and only for the file it was."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from moat.config.accepted import Accepted
from moat.config.project_file import ProjectFile
from moat.errors import MoatError, UnsafeFile

FILE = ProjectFile(Path("/p/moat.yaml"), "moat.yaml", "name: é\n".encode())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "home/accepted"


@pytest.fixture
def accepted(directory: Path) -> Accepted:
    return Accepted(directory)


def kept(directory: Path) -> Path:
    (file,) = directory.iterdir()
    return file


def test_nothing_is_accepted_at_first(accepted: Accepted, directory: Path) -> None:
    """And to ask makes no directory."""
    assert not accepted.is_accepted(FILE)
    assert accepted.previous(FILE) is None
    assert not directory.exists()


def test_what_was_accepted_is_accepted(accepted: Accepted, directory: Path) -> None:
    """Also by the next process, and twice is once."""
    accepted.accept(FILE)
    accepted.accept(FILE)

    assert Accepted(directory).is_accepted(FILE)
    assert "name: é\n" == accepted.previous(FILE)


@pytest.mark.parametrize(
    "content",
    [b"", b"name: e\n", "name: é".encode(), "name: é\r\n".encode(), b"\xff", b"name: \xe9\n"],
)
def test_another_byte_is_another_file(accepted: Accepted, content: bytes) -> None:
    """What was accepted before can then be shown."""
    accepted.accept(FILE)
    changed = FILE._replace(content=content)

    assert not accepted.is_accepted(changed)
    assert "name: é\n" == accepted.previous(changed)
    assert accepted.is_accepted(FILE)


def test_another_path_is_another_file(accepted: Accepted) -> None:
    """A copy in another project asks again."""
    accepted.accept(FILE)

    for path in ("/p/agent.yaml", "/q/moat.yaml", "/p/../p/moat.yaml"):
        copy = FILE._replace(path=Path(path))
        assert not accepted.is_accepted(copy)
        assert accepted.previous(copy) is None


def test_the_last_agreement_counts(accepted: Accepted) -> None:
    """Going back to an earlier file is a change as well."""
    later = FILE._replace(content=b"name: b\n")
    accepted.accept(FILE)
    accepted.accept(later)

    assert accepted.is_accepted(later)
    assert not accepted.is_accepted(FILE)


def test_an_agreement_can_be_taken_back(accepted: Accepted, directory: Path) -> None:
    """Of one file; what was never there can be forgotten too."""
    other = FILE._replace(path=Path("/q/moat.yaml"))
    accepted.forget(FILE.path)
    accepted.accept(FILE)
    accepted.accept(other)

    accepted.forget(FILE.path)

    assert not accepted.is_accepted(FILE)
    assert accepted.is_accepted(other)


def test_what_is_kept_is_ours_alone(accepted: Accepted, directory: Path) -> None:
    """A project's file may be nobody else's business; the record says when."""
    accepted.accept(FILE)

    assert 0o700 == stat.S_IMODE(directory.stat().st_mode)
    assert 0o600 == stat.S_IMODE(kept(directory).stat().st_mode)
    document = json.loads(kept(directory).read_bytes())
    assert ["format", "path", "digest", "accepted_at", "text"] == list(document)
    assert document["accepted_at"].endswith("+00:00")
    assert (1, "/p/moat.yaml", FILE.digest) == (
        document["format"],
        document["path"],
        document["digest"],
    )


def test_a_path_of_any_bytes_is_kept(accepted: Accepted) -> None:
    """Names need not be UTF-8."""
    file = FILE._replace(path=Path(os.fsdecode(b"/p/\xff\n/moat.yaml")))

    accepted.accept(file)

    assert accepted.is_accepted(file)


@pytest.mark.attack
@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"{",
            b"null",
            b"5",
            b'"x"',
            b"[]",
            b"{}",
            b"\xff",
            b"[" * 100_000,
            b'{"format": 1}',
        ),
        b'{"format": 1, "path": "/p/moat.yaml", "digest": "x", "text": "x"}',
        b'{"format": 1, "path": "/p/moat.yaml", "digest": "x", "text": 5}',
        b'{"format": 1, "path": "/p/moat.yaml", "digest": "x", "text": "\\ud800"}',
        b'{"format": 1, "path": ["/p/moat.yaml"], "digest": "x", "text": "x"}',
    ],
)
def test_what_we_did_not_write_is_no_agreement(
    accepted: Accepted, directory: Path, content: bytes
) -> None:
    """Never a crash, and agreeing anew mends it."""
    accepted.accept(FILE)
    kept(directory).write_bytes(content)

    assert not accepted.is_accepted(FILE)
    assert accepted.previous(FILE) is None

    accepted.accept(FILE)
    assert accepted.is_accepted(FILE)


@pytest.mark.attack
@pytest.mark.parametrize(
    ("key", "value"),
    [("format", 2), ("path", "/q/moat.yaml"), ("text", "name: b\n"), ("digest", "0" * 64)],
)
def test_a_record_that_does_not_hold_together_is_none(
    accepted: Accepted, directory: Path, key: str, value: object
) -> None:
    """Format, path, text and digest are all of this file, or nothing was agreed to."""
    accepted.accept(FILE)
    document = json.loads(kept(directory).read_bytes())
    kept(directory).write_text(json.dumps(document))
    assert accepted.is_accepted(FILE)

    kept(directory).write_text(json.dumps(document | {key: value}))

    assert not accepted.is_accepted(FILE)
    assert accepted.previous(FILE) is None


@pytest.mark.attack
def test_what_others_could_have_written_is_no_agreement(
    accepted: Accepted, directory: Path, tmp_path: Path
) -> None:
    """Nor a link, nor a directory, nor a pipe in its place."""
    accepted.accept(FILE)
    place = kept(directory)
    place.chmod(0o666)
    assert not accepted.is_accepted(FILE)
    place.chmod(0o600)
    assert accepted.is_accepted(FILE)

    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert not accepted.is_accepted(FILE)
    place.unlink()
    os.mkfifo(place, 0o600)
    assert not accepted.is_accepted(FILE)
    place.unlink()
    place.mkdir()
    assert not accepted.is_accepted(FILE)
    with pytest.raises(MoatError):
        accepted.accept(FILE)
    with pytest.raises(MoatError):
        accepted.forget(FILE.path)


def test_a_directory_open_to_others_is_not_written_to(accepted: Accepted, directory: Path) -> None:
    """As with everything that is private."""
    directory.mkdir(parents=True)
    directory.chmod(0o755)

    with pytest.raises(UnsafeFile):
        accepted.accept(FILE)

    directory.chmod(0o700)
    accepted.accept(FILE)
    assert accepted.is_accepted(FILE)
