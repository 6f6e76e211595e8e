"""Renew requirements.lock: every dependency pinned, with the digests of its files.

Runs in the virtual environment: `make lock`. pip-tools is installed for the moment only.
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Made by `make lock` from pyproject.toml. Installed with --require-hashes.\n"


def wanted(project: dict) -> list[str]:
    """The requirements of Moat and of its development group, groups within groups resolved."""
    groups = project["dependency-groups"]

    def flatten(name: str) -> list[str]:
        found = []
        for item in groups[name]:
            found += [item] if isinstance(item, str) else flatten(item["include-group"])
        return found

    return sorted({*project["project"]["dependencies"], *flatten("dev")})


def main() -> None:
    """Resolve and write."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "requirements.in")
        source.write_text("\n".join(wanted(project)) + "\n")
        tools = Path(directory, "venv")
        subprocess.run([sys.executable, "-m", "venv", tools], check=True)
        pip = [tools / "bin" / "python", "-m", "pip", "install", "--quiet", "pip-tools>=7.4"]
        subprocess.run(pip, check=True)
        result = Path(directory, "lock")
        subprocess.run(
            [
                tools / "bin" / "python", "-m", "piptools", "compile", "--quiet",
                "--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-header",
                "--no-annotate", "--no-emit-index-url", "--no-emit-trusted-host",
                "--no-emit-find-links", "--output-file", result, source,
            ],
            check=True,
        )  # fmt: skip
        (ROOT / "requirements.lock").write_text(HEADER + result.read_text())


if __name__ == "__main__":
    main()
