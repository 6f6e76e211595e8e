"""Make the virtual environment from the lock file: `python3 tools/setup_venv.py DIRECTORY`.

Runs on the bare interpreter, so it says in one line what that lacks.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def fail(problem: str, hint: str) -> None:
    """End with one clear error."""
    sys.exit(f"setup: {problem}\nhint: {hint}")


def main() -> None:
    """Make it, or bring it up to date."""
    found = tuple(sys.version_info[:2])
    if found < (3, 11):
        version = ".".join(map(str, found))
        fail(f"Python 3.11 or newer is needed, this is {version}", "make PYTHON=python3.11 …")
    venv = Path(sys.argv[1])
    python = venv / "bin" / "python"
    if not (venv / "bin" / "pip").exists():
        shutil.rmtree(venv, ignore_errors=True)
        print("setup: making the virtual environment", file=sys.stderr)
        making = [sys.executable, "-m", "venv", venv]
        made = subprocess.run(making, capture_output=True, check=False)
        if made.returncode:
            shutil.rmtree(venv, ignore_errors=True)
            fail(
                "this Python cannot make virtual environments (ensurepip is missing?)",
                "on Debian or Ubuntu: sudo apt install python3-venv",
            )
    print("setup: installing the locked dependencies", file=sys.stderr)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    environment = {**os.environ, "PIP_NO_INPUT": "1"}
    for arguments in (
        ["--require-hashes", "--no-deps", "-r", ROOT / "requirements.lock"],
        ["--no-deps", "--no-build-isolation", "--editable", ROOT],
    ):
        if subprocess.run([*pip, *arguments], env=environment, check=False).returncode:
            fail("pip could not install what is needed", "its messages are above; then make setup")


if __name__ == "__main__":
    main()
