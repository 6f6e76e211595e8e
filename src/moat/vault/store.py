"""The credential store: one sealed file a credential, below a directory of its owner's alone."""

from __future__ import annotations

import base64
import contextlib
import datetime
import fcntl
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from moat.core.nothing import NOTHING
from moat.errors import GrantError, MoatError
from moat.files import ensure_private_dir, open_private_file, write_atomic
from moat.vault.credential import Credential, Facts, from_document, to_document
from moat.vault.keys import load_key, make_key

FORMAT = 1
DEFAULT_PROFILE = "default"
# `openai`, or what and which: `mcp:linear`.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}(:[a-z0-9][a-z0-9_-]{0,63})?")


class Stored(NamedTuple):
    """What can be said of a stored credential; `problem` says why it cannot be opened, and `hint`
    what to do about it."""

    provider: str
    created_at: datetime.datetime | None
    problem: str | None = None
    hint: str | None = None
    metadata: Mapping[str, str] = NOTHING


class Store:
    """Credentials under `directory`, which also holds the key that seals them."""

    def __init__(self, directory: Path, *, profile: str = DEFAULT_PROFILE) -> None:
        self._directory = directory
        self._key_file = directory / "vault.key"
        self._profile = profile

    def has(self, provider: str) -> bool:
        """Whether there is a credential; it is not opened."""
        return os.path.lexists(self._file(provider))

    def get(self, provider: str) -> Credential:
        """Open a credential. Raises GrantError when it is missing or cannot be opened."""
        file = self._file(provider)
        if not self.has(provider):
            raise self._missing(provider)
        ensure_private_dir(self._directory)
        ensure_private_dir(file.parent)
        try:
            with open_private_file(file) as opened:
                content = opened.read()
        except FileNotFoundError:  # revoked since we looked
            raise self._missing(provider) from None
        return self._open(file, content, provider)

    def describe(self, provider: str) -> Facts:
        """What is known of a credential besides its secret. Raises as `get` does."""
        return self.get(provider).facts

    def put(self, credential: Credential) -> None:
        """Store a credential in the place of an older one, which stays if this fails.

        Raises GrantError or UnsafeFile.
        """
        file = self._file(credential.provider)
        try:
            self._put(file, credential)
        except OSError as error:
            raise GrantError(
                f"the grant for {credential.provider} cannot be stored in {self._directory}: "
                f"{error.strerror}",
                hint=f"see how full the disk is: df -h {shlex.quote(str(self._directory))}",
            ) from error

    def _put(self, file: Path, credential: Credential) -> None:
        from moat.vault.cipher import seal

        with self._locked():
            ensure_private_dir(file.parent)
            key = load_key(self._key_file)
            if key is None:
                self._refuse_a_second_key()
                key = make_key(self._key_file)
            plaintext = json.dumps(to_document(credential)).encode()
            sealed = seal(key, plaintext, provider=credential.provider, profile=self._profile)
            document = {
                "format": FORMAT,
                "profile": self._profile,
                "provider": credential.provider,
                "sealed": base64.b64encode(sealed).decode(),
            }
            write_atomic(file, json.dumps(document, indent=2).encode() + b"\n", mode=0o600)

    def remove(self, provider: str) -> bool:
        """Remove a credential; False if there was none."""
        if not self.has(provider):
            return False
        with self._locked():
            try:
                self._file(provider).unlink()
            except FileNotFoundError:
                return False
        return True

    def list(self) -> list[Stored]:
        """Every stored credential by name, the unreadable ones with their problem.

        Raises UnsafeFile when the directory itself is open to others.
        """
        folder = self._directory / self._profile
        if not folder.is_dir():
            return []
        ensure_private_dir(self._directory)
        ensure_private_dir(folder)
        found = []
        for file in sorted(folder.glob("*.json")):
            try:
                credential = self.get(file.stem)
            except MoatError as error:
                found.append(Stored(file.stem, None, error.message, error.hint))
            else:
                metadata = credential.metadata
                found.append(Stored(file.stem, credential.created_at, metadata=metadata))
        return found

    def _open(self, file: Path, content: bytes, provider: str) -> Credential:
        from moat.vault.cipher import SealBroken, open_sealed

        grant_again = f"grant it again: moat grant {provider}"
        key = load_key(self._key_file)
        if key is None:
            raise GrantError(
                f"the key that opens the grant for {provider} is missing: {self._key_file}",
                hint="restore it from a backup, or start anew: "
                f"moat revoke {provider} && moat grant {provider}",
            )
        try:
            document = json.loads(content)
            if document["format"] > FORMAT:
                raise GrantError(
                    f"the grant for {provider} was stored by a newer Moat",
                    hint="run the newer moat, or " + grant_again,
                )
            sealed = base64.b64decode(document["sealed"], validate=True)
            plaintext = open_sealed(key, sealed, provider=provider, profile=self._profile)
            credential = from_document(json.loads(plaintext))
        except (SealBroken, KeyError, TypeError, ValueError, RecursionError) as error:
            raise GrantError(
                f"the grant for {provider} cannot be opened: {file} was changed, or sealed with "
                "another key",
                hint=grant_again,
            ) from error
        return credential

    @staticmethod
    def _missing(provider: str) -> GrantError:
        return GrantError(f"there is no grant for {provider}", hint=f"run: moat grant {provider}")

    def _file(self, provider: str) -> Path:
        for name in (provider, self._profile):
            if not _NAME.fullmatch(name):
                raise GrantError(f"{name!r} is not a name a credential can be stored under")
        return self._directory / self._profile / f"{provider}.json"

    def _refuse_a_second_key(self) -> None:
        """A missing key beside sealed files is a loss to be mended, not a fresh start."""
        sealed = sorted(self._directory.glob("*/*.json"))
        if sealed:
            raise GrantError(
                f"the vault's key {self._key_file} is missing, but {len(sealed)} sealed "
                "credentials need it",
                hint="restore it from a backup, or give up what it sealed: "
                f"rm {' '.join(shlex.quote(str(file)) for file in sealed)}",
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        ensure_private_dir(self._directory)
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(self._directory / ".lock", flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
