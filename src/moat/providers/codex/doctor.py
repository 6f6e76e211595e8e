"""What `moat doctor` says of a person's own Codex, outside any box.

Runs use none of it. It is shown because people ask: why a run does not see their login, which
version runs, and whether a key of theirs lies open. No part of a key is ever shown: of a file's
content nothing is repeated but words that are known here.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from moat.config.paths import Home, moat_home
from moat.core.finding import Finding
from moat.core.redact import printable
from moat.errors import MoatError
from moat.providers.codex.constants import GRANT_REF
from moat.providers.codex.doctor_files import check_auth, check_config
from moat.providers.codex.doctor_version import find_codex, version_of

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
_GRANT = "run: moat grant openai"


class DoctorSection:
    """The findings about Codex. Looks only when it is asked, and changes nothing."""

    name = "Codex Configuration"
    """What stands above the findings."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        home: Path | None = None,
        moat_home: Path | None = None,
        pinned: str | None = None,
        installed: Path | None = None,
    ) -> None:
        """`home` is the person's, `moat_home` Moat's; both are found by `environ` if not given.

        `pinned` is the version of Codex that runs use, `installed` where it is, None before the
        first run.
        """
        self._environ = os.environ if environ is None else environ
        self._home = home
        self._moat_home = moat_home
        self._pinned = pinned
        self._installed = installed

    def findings(self) -> list[Finding]:
        """What was found, with nothing in it that a terminal would obey."""
        return [_shown(finding) for finding in self._look()]

    def print(self, file: IO[str]) -> None:
        """The findings for a person to read, under the section's name."""
        findings = self.findings()
        width = max(len(finding.subject) for finding in findings)
        print(self.name, file=file)
        for finding in findings:
            mark = _MARKS[finding.status]
            print(f"{mark}  {finding.subject.ljust(width)}  {finding.detail}", file=file)
            if finding.hint is not None:
                print(f"      {' ' * width}  hint: {finding.hint}", file=file)

    def _look(self) -> Iterator[Finding]:
        yield from self._directory()
        if self._environ.get("OPENAI_API_KEY"):
            detail = "set; used by `moat grant openai`, and not handed to runs"
            yield Finding("ok", "OPENAI_API_KEY", detail)
        yield self._grant()
        yield self._version()
        if self._pinned is not None:
            where = self._installed or "installed at the first run"
            yield Finding("ok", "Codex for runs", f"{self._pinned}: {where}")

    def _directory(self) -> Iterator[Finding]:
        directory = self._codex_home()
        if directory is None:
            detail = "your home directory is not known, so neither is your own Codex"
            yield Finding("warn", "your Codex", detail, "set HOME: export HOME=/path/to/you")
            return
        try:
            next(directory.iterdir(), None)  # whether it can be listed
        except FileNotFoundError:
            yield Finding("ok", "your Codex", f"{directory} is not there; Moat does not need it")
            return
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no path"
            hint = f"runs do without it; look at it: ls -ld {shlex.quote(str(directory))}"
            yield Finding("warn", "your Codex", f"{directory} cannot be read: {why}", hint)
            return
        yield Finding("ok", "your Codex", f"{directory}; runs have their own")
        yield from check_config(directory / "config.toml")
        yield from check_auth(directory / "auth.json")

    def _codex_home(self) -> Path | None:
        if given := self._environ.get("CODEX_HOME"):
            return Path(given)
        home = self._home or _persons_home(self._environ)
        return home / ".codex" if home else None

    def _grant(self) -> Finding:
        from moat.vault.store import Store

        try:
            root = self._moat_home or moat_home(self._environ)
            store = Store(Home(root).credentials)
            if not store.has(GRANT_REF):
                return Finding(
                    "warn", "grant", "openai is not granted, so runs have no key", _GRANT
                )
            store.get(GRANT_REF)
        except MoatError as error:
            return Finding("fail", "grant", error.message, error.hint or _GRANT)
        except OSError as error:
            return Finding("fail", "grant", f"it cannot be read: {error.strerror}", _GRANT)
        return Finding("ok", "grant", "openai is stored and opens; runs see a placeholder")

    def _version(self) -> Finding:
        program = find_codex(self._environ)
        if program is None:
            return Finding("ok", "codex on PATH", "none; runs bring their own")
        version = version_of(program, self._environ)
        if version is None:
            detail = f"{program} does not say its version; runs do not use it"
            return Finding("warn", "codex on PATH", detail, "try it: codex --version")
        return Finding("ok", "codex on PATH", f"{version}: {program}; runs do not use it")


def _persons_home(environ: Mapping[str, str]) -> Path | None:
    home = Path(environ.get("HOME", ""))
    if home.is_absolute():
        return home
    import pwd  # here, as next to nobody's HOME is unset

    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return None


def _shown(finding: Finding) -> Finding:
    hint = None if finding.hint is None else printable(finding.hint)
    return Finding(finding.status, printable(finding.subject), printable(finding.detail), hint)
