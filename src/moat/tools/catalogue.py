"""What Moat can install: each tool pinned by version and by the digest of its bytes.

A registry decides which file it serves under a name; the digests below decide whether Moat takes
it. So a new version of a tool is a change to this file and to nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from moat.errors import ToolError, UsageError


@dataclass(frozen=True)
class Package:
    """A tool as npm serves it for one machine architecture."""

    machine: str
    """The architecture as `uname -m` says it."""
    spec: str
    """What `npm pack` is asked for."""
    integrity: str
    """`sha512-` and the base64 digest of the tarball, as in npm's `dist.integrity`."""
    root: str
    """The folder inside the tarball that becomes the installed directory."""


@dataclass(frozen=True)
class Tool:
    """A program Moat installs for a run."""

    name: str
    version: str
    packages: tuple[Package, ...]
    files: tuple[str, ...]
    """The files to keep, below `Package.root`; the rest of the tarball is not unpacked."""
    path: tuple[str, ...]
    """The folders of the installed directory that belong on PATH, first one first."""
    download_bytes: int
    """How much is fetched, roughly: what progress is measured against."""
    installed_bytes: int
    """How much it takes on disk when unpacked, roughly."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def package_for(self, machine: str) -> Package:
        """The package for an architecture; ToolError if there is none."""
        for package in self.packages:
            if package.machine == machine:
                return package
        known = ", ".join(package.machine for package in self.packages)
        raise ToolError(
            f"{self} is not made for this machine's architecture, {machine}",
            hint=f"use a machine that is one of: {known}",
        )


_CODEX_VERSION = "0.169.0"

CODEX_CLI = Tool(
    name="codex-cli",
    version=_CODEX_VERSION,
    packages=(
        Package(
            machine="x86_64",
            spec=f"@openai/codex@{_CODEX_VERSION}-linux-x64",
            integrity=(
                "sha512-o05NyAOCDygSPRo1yinzxvkRSdmsZyBD9E7mbpmjRanSfM8lypqWtQgEo4XfNkwhuCR2aFu8"
                "mlGOsQGFXVbVww=="
            ),
            root="package/vendor/x86_64-unknown-linux-musl",
        ),
        Package(
            machine="aarch64",
            spec=f"@openai/codex@{_CODEX_VERSION}-linux-arm64",
            integrity=(
                "sha512-NZ/DaQUpcQmxmqee7Z9uC1rzw3GhSbooawcaTe1LN5Yk+WlinUKGdTXJgClRT/9ogQEEM9TW"
                "xYzvxPfj5G/xFg=="
            ),
            root="package/vendor/aarch64-unknown-linux-musl",
        ),
    ),
    files=(
        "bin/codex",
        "bin/codex-code-mode-host",
        "codex-path/rg",
        "codex-resources/bwrap",
        "codex-package.json",
    ),
    path=("bin", "codex-path"),
    download_bytes=167_001_509,
    installed_bytes=370_218_501,
)

_TOOLS = {CODEX_CLI.name: CODEX_CLI}


def find_tool(name: str) -> Tool | None:
    """The tool of that name, if Moat has one."""
    return _TOOLS.get(name)


def get_tool(name: str) -> Tool:
    """The tool of that name; UsageError if Moat has none."""
    try:
        return _TOOLS[name]
    except KeyError:
        known = ", ".join(sorted(_TOOLS))
        raise UsageError(f"there is no tool named {name!r}", hint=f"tools: {known}") from None
