"""The checks, in the order they are shown. None prints any part of a secret, none changes
anything; what they call is what a run calls, so that they cannot say other than it does."""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from moat.config.paths import Home, ensure_home
from moat.config.settings import load_settings
from moat.core.finding import Finding
from moat.core.hosts import format_host_port
from moat.core.limits import Limits
from moat.core.redact import printable
from moat.doctor.box import try_a_box
from moat.doctor.interface import Check
from moat.doctor.limits import check_limits
from moat.errors import MoatError, system_error
from moat.files import check_private_file
from moat.providers.interface import DoctorSectionProtocol
from moat.runtimes.sandbox.bwrap import bwrap_version, find_bwrap
from moat.tools.catalogue import CODEX_CLI
from moat.tools.install import find_installed
from moat.vault.store import Store


def codex_section(home: Home) -> DoctorSectionProtocol:
    """What the Codex provider has to say."""
    from moat.providers.codex import DoctorSection

    return DoctorSection(pinned=CODEX_CLI.version, installed=find_installed(CODEX_CLI, home.root))


# Besides Moat's own checks, in the order they are shown.
SECTIONS: tuple[Callable[[Home], DoctorSectionProtocol], ...] = (codex_section,)


def run_sections(home: Home) -> list[tuple[str, list[Finding]]]:
    """Every finding, by the name of its section."""
    found = [("Moat", run_checks(home))]
    for make in SECTIONS:
        section = make(home)
        found.append((section.name, section.findings()))
    return found


def run_checks(home: Home) -> list[Finding]:
    """What Moat's own checks find. A check that meets an error makes a finding of it."""
    findings: list[Finding] = []
    for subject, check in CHECKS:
        try:
            findings += check(home)
        except MoatError as error:
            findings.append(Finding("fail", subject, printable(error.message), error.hint))
        except OSError as error:
            told = system_error(error)
            findings.append(Finding("fail", subject, printable(told.message), told.hint))
    return findings


def check_home(home: Home) -> Iterator[Finding]:
    """Moat's directory and the settings in it."""
    if not home.root.exists():
        yield Finding("ok", "home", f"{home.root} (made at the first run)")
        return
    ensure_home(home)  # it is there, so nothing is made
    settings = load_settings(home)
    yield Finding("ok", "home", str(home.root))
    for (host, port), (to_host, to_port) in settings.upstream.connect_to:
        asked, dialled = format_host_port(host, port), format_host_port(to_host, to_port)
        yield Finding("ok", "settings", f"{asked} is dialled at {dialled} (upstream.connect_to)")
    if settings.upstream.ca_file is not None:
        detail = f"roots of {settings.upstream.ca_file} are trusted too (upstream.ca_file)"
        yield Finding("ok", "settings", detail)


def check_sandbox(_: Home) -> Iterator[Finding]:
    """A box is made, and `true` run in it."""
    bwrap = find_bwrap()
    version = bwrap_version(bwrap)
    shown = ".".join(map(str, version)) if version else "of unknown version"
    yield Finding("ok", "bubblewrap", f"{shown}: {bwrap}")
    took = try_a_box(Limits()).seconds
    yield Finding("ok", "sandbox", f"a box starts and ends in {took * 1000:.0f} ms")
    if os.geteuid() == 0:
        yield Finding(
            "warn",
            "user",
            "you are root: the box is as tight, but files made in it belong to root",
            "run moat as an ordinary user where you can",
        )


def check_codex(home: Home) -> Iterator[Finding]:
    """The Codex CLI, or what it would be installed with."""
    installed = find_installed(CODEX_CLI, home.root)
    if installed is not None:
        yield Finding("ok", "codex-cli", f"{CODEX_CLI.version}: {installed}")
        return
    npm = shutil.which("npm")
    with_what = f"with {npm}" if npm else "with Node.js from the Python package index"
    yield Finding("ok", "codex-cli", f"{CODEX_CLI.version}, installed at its first run {with_what}")


def check_grants(home: Home) -> Iterator[Finding]:
    """What is granted, and whether it can be opened."""
    stored = Store(home.credentials).list()
    if not stored:
        hint = "run: moat grant openai"
        yield Finding("warn", "grants", "nothing is granted, so Codex cannot log in", hint)
    for item in stored:
        if item.problem is not None:
            yield Finding("fail", "grants", item.problem, item.hint)
        else:
            yield Finding("ok", "grants", f"{item.provider} is stored and opens")


def check_ca(home: Home) -> Iterator[Finding]:
    """Moat's own certificate authority."""
    key = home.ca / "ca.key"
    if not key.exists():
        yield Finding("ok", "local CA", "made at the first run")
        return
    check_private_file(key)
    yield Finding("ok", "local CA", f"{home.ca / 'ca.pem'}, its key closed to others")


def check_roots(_: Home) -> Iterable[Finding]:
    """The roots that upstream certificates are verified with."""
    count = ssl.create_default_context().cert_store_stats()["x509_ca"]
    paths = ssl.get_default_verify_paths()
    if count == 0 and not (paths.capath and any(Path(paths.capath).iterdir())):
        hint = "on Debian or Ubuntu: sudo apt install ca-certificates"
        return [Finding("fail", "system roots", "there are none: no server can be verified", hint)]
    return [Finding("ok", "system roots", f"{count} roots")]


CHECKS: tuple[tuple[str, Check], ...] = (
    ("home", check_home),
    ("sandbox", check_sandbox),
    ("limits", check_limits),
    ("codex-cli", check_codex),
    ("grants", check_grants),
    ("local CA", check_ca),
    ("system roots", check_roots),
)
