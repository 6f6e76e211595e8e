"""Tokens: made so that nobody guesses them, or read from a file that nobody else can."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moat.errors import MoatError, UnsafeFile, UsageError
from moat.run.access import new_token, read_token


def written(directory: Path, content: bytes, mode: int = 0o600) -> Path:
    file = directory / "token"
    file.write_bytes(content)
    file.chmod(mode)
    return file


def test_every_token_is_another() -> None:
    """Of 256 bits, and such as can stand in a URL."""
    tokens = {new_token().reveal() for _ in range(50)}
    assert 50 == len(tokens)
    assert all(re.fullmatch("[A-Za-z0-9_-]{43}", token) for token in tokens)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_token_is_read(tmp_path: Path, end: bytes) -> None:
    """One line, whatever ends it."""
    file = written(tmp_path, b"a-Token.of_16~ch" + end)
    assert "a-Token.of_16~ch" == read_token(file).reveal()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\n", b"fifteen-letters", b"x" * 513, b"two lines of it\nand another one\n"),
        *(b" a-token-of-16-ch", b"a-token-of-16-ch ", b"a-token-of-16:ch", b"a-token-of-16@ch"),
        *(b"a-token-of-16/ch", b"a-token-of-16%41c", b"a-t\xc3\xb6ken-of-16-ch", b"\0" * 16),
        *(b"a-token-of-16-ch\n\n", b"\xef\xbb\xbfa-token-of-16-ch", b"x" * 2000),
    ],
)
def test_what_cannot_stand_in_a_url_or_is_too_short_is_none(tmp_path: Path, content: bytes) -> None:
    """And it is not quoted: it may be a secret all the same."""
    file = written(tmp_path, content)
    with pytest.raises(MoatError, match="holds no token") as caught:
        read_token(file)
    if content.strip():
        assert content.decode("latin-1") not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """With the command that closes it."""
    with pytest.raises(UnsafeFile) as caught:
        read_token(written(tmp_path, b"a-token-of-16-ch", mode))
    assert "chmod 600" in (caught.value.hint or "")


def test_a_link_is_refused_and_an_absent_file_is_said_how_to_make(tmp_path: Path) -> None:
    """The command that is named makes one that is taken."""
    import subprocess

    link = tmp_path / "link"
    link.symlink_to(written(tmp_path, b"a-token-of-16-ch"))
    with pytest.raises(UnsafeFile):
        read_token(link)
    with pytest.raises(MoatError):
        read_token(tmp_path)
    absent = tmp_path / "it's absent"
    with pytest.raises(UsageError) as caught:
        read_token(absent)
    assert caught.value.hint is not None
    subprocess.run(["sh", "-c", caught.value.hint.removeprefix("make one: ")], check=True)
    assert re.fullmatch("[0-9a-f]{64}", read_token(absent).reveal())
