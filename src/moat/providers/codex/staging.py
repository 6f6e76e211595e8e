"""A staging directory: the files of ~/.codex, for a container that mounts them at its start.

No credential comes by here: what is written holds placeholders alone.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from pathlib import Path

from moat.errors import MoatError
from moat.providers.agent import AgentWanted, ContainerConfig, PrepareOptions, StagedFile
from moat.providers.codex.constants import CODEX_INIT_MOUNT_PATH
from moat.providers.codex.login import auth_json
from moat.providers.codex.settings import config_toml
from moat.providers.interface import MountConfig
from moat.vault.credential import Facts

_PREFIX = "moat-codex-staging-"


def staged_files(wanted: AgentWanted) -> tuple[StagedFile, ...]:
    """What becomes ~/.codex in the box. Raises ConfigError."""
    return (
        StagedFile("auth.json", auth_json()),
        StagedFile("config.toml", config_toml(wanted)),
    )


def populate_staging_dir(
    facts: Facts | None,  # noqa: ARG001  # every key has the same placeholder
    directory: Path,
) -> None:
    """Write `auth.json` (0600) with the placeholder. Raises MoatError, also if it is there."""
    _write(directory / "auth.json", auth_json())


def write_codex_config(directory: Path, wanted: AgentWanted) -> None:
    """Write `config.toml` (0600) for one run. Raises ConfigError; MoatError, also if it is there.

    With nothing wanted but a workspace these are the least settings that work in a box.
    """
    _write(directory / "config.toml", config_toml(wanted))


def prepare(options: PrepareOptions, *, variables: dict[str, str]) -> ContainerConfig:
    """Make and fill a staging directory (0700); nothing is left of it when this fails.

    `variables` join the one that names the mount. `options.container_home` is not asked for: who
    copies the files at the start knows whose home it is. Raises ConfigError or MoatError.
    """
    try:
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=options.directory))
    except OSError as error:
        raise MoatError(
            f"no staging directory can be made in {options.directory}: {error.strerror}",
            hint=f"see how full the disk is, and whose it is: ls -ld {options.directory}",
        ) from None
    cleanup = functools.partial(_remove, directory)
    try:
        populate_staging_dir(None, directory)
        write_codex_config(directory, options.wanted)
    except BaseException:
        cleanup()
        raise
    return ContainerConfig(
        env={**variables, "MOAT_CODEX_INIT": CODEX_INIT_MOUNT_PATH},
        mounts=(MountConfig(directory, CODEX_INIT_MOUNT_PATH, read_only=True),),
        staging_dir=directory,
        cleanup=cleanup,
    )


def _remove(directory: Path) -> None:
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        pass  # as it should be


def _write(path: Path, content: bytes) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask
            file.write(content)
    except OSError as error:
        raise MoatError(
            f"{path} cannot be written: {error.strerror}",
            hint="a staging directory is made anew for each run: run the command again",
        ) from None
