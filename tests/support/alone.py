"""`moat proxy` as it runs, and clients that are told of it by what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.cli import Cli
from support.sink import Sinks


@dataclass
class Alone:
    """A proxy that serves; `said` is what it printed as data."""

    cli: Cli
    process: subprocess.Popen[str]
    said: dict[str, Any]
    ended: str | None = None

    @property
    def run(self) -> str:
        """The id of its run."""
        return str(self.said["run"])

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.said["listen"].rpartition(":")[2])

    @property
    def address(self) -> str:
        """What a client is told of it, with the token."""
        return str(self.said["environment"]["HTTPS_PROXY"])

    @property
    def stage(self) -> Path:
        """Where its files are."""
        return self.cli.home / "runs" / self.run / "stage"

    def environ(self, **more: str) -> dict[str, str]:
        """The environment of a process that uses it."""
        person = {"PATH": os.environ["PATH"], "HOME": str(self.cli.home.parent)}
        return {**person, **self.said["environment"], **more}

    def client(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a client to its end; `more` are variables."""
        return subprocess.run(
            command,
            cwd=self.cli.workspace,
            env=self.environ(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def curl(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run curl to its end."""
        return self.client("curl", "-sS", "--max-time", "30", *arguments, **more)

    def status(self, *arguments: str, **more: str) -> str:
        """The status that curl is answered with, that of a CONNECT if it is refused."""
        form = "%{http_code} %{http_connect}"
        words = self.curl("-o", os.devnull, "-w", form, *arguments, **more).stdout.split()
        return words[0] if words[0] != "000" else words[1]

    def trace(self) -> list[dict[str, Any]]:
        """The rows of its trace."""
        found: list[dict[str, Any]] = self.cli.json("trace", self.run)
        return found

    def state(self) -> tuple[str, int | None]:
        """What `moat list` says of it: state and exit code."""
        (record,) = [record for record in self.cli.runs() if record["run"] == self.run]
        return record["state"], record["exit_code"]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; its exit code. What it said to a person is in `ended`."""
        self.process.send_signal(number)
        _, self.ended = self.process.communicate(timeout=30)
        return self.process.returncode


@contextmanager
def alone(cli: Cli, *arguments: str, **options: Any) -> Iterator[Alone]:
    """Start `moat proxy`, and wait until it serves."""
    with cli.started("proxy", "--json", *arguments, **options) as process:
        assert process.stdout is not None
        text = process.stdout.read()  # to the end: nothing more comes
        assert text, process.stderr.read() if process.stderr else ""
        yield Alone(cli, process, json.loads(text))


def point_at(cli: Cli, sinks: Sinks, places: dict[str, str], more: str = "") -> None:
    """Let places, each with a port, be the servers of these names; `more` is of config.yaml too."""
    to = {place: f"127.0.0.1:{sinks.ports[name]}" for place, name in places.items()}
    file = cli.home / "config.yaml"
    file.write_text(
        f"upstream:\n  ca_file: {sinks.ca_file}\n  connect_to: {json.dumps(to)}\n{more}"
    )
    file.chmod(0o600)
