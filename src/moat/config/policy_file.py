"""The file that `moat proxy --policy` names: what may stand below `network` in moat.yaml."""

from __future__ import annotations

from pathlib import Path

from moat.config.nodes import Place, fault
from moat.config.project import ProjectNetwork
from moat.files import open_trusted_file


def load_policy_file(path: Path) -> ProjectNetwork:
    """Read it. Raises ConfigError for one that cannot be read or taken, UnsafeFile for one that
    other users can change, FileNotFoundError where there is none."""
    from moat.config.project_schema import NETWORK
    from moat.config.yaml import MAX_BYTES, read_yaml

    try:
        with open_trusted_file(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise fault(Place(str(path), 1, 1), f"cannot be read: {error.strerror}") from None
    return NETWORK.read(read_yaml(data, name=str(path)))
