"""How long it takes to start: help, an empty run, Codex."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from tests.bench import srt
from tests.bench.measure import compared, environment, interleaved, moat, seconds
from tests.bench.report import Goal, Result, Row, ratio

from moat.runtimes.sandbox.bwrap import find_bwrap
from moat.tools.catalogue import CODEX_CLI
from moat.tools.install import ensure_tool
from moat.tools.progress import progress_on

_EMPTY, _OTHER = "moat run -- true", "srt true"


def bench_help() -> Result:
    """`moat --help` against the interpreter alone."""
    with tempfile.TemporaryDirectory() as home:
        env = environment(home)
        results = interleaved(
            15,
            **{
                "python -c pass": lambda: seconds([sys.executable, "-c", "pass"], env=env),
                "moat --help": lambda: seconds(moat("--help"), env=env, stdout=subprocess.DEVNULL),
            },
        )
    return compared("The command line", "python -c pass", results)


def bench_run(cache: Path) -> Result:
    """`moat run -- true` against bare bubblewrap, and against what is closest to it elsewhere."""
    with tempfile.TemporaryDirectory() as directory:
        home, workspace = Path(directory, "home"), Path(directory, "workspace")
        home.mkdir(mode=0o700)
        workspace.mkdir()
        env = environment(str(home))
        bare = [find_bwrap(), "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "true"]
        measured = {
            "bwrap … true": lambda: seconds(bare),
            _EMPTY: lambda: seconds(moat("run", "--", "true"), env=env, cwd=workspace),
        }
        missing: list[Row] = []
        try:
            other = srt.find(cache)
            measured[_OTHER] = lambda: seconds(
                [other, "true"], env=env, cwd=workspace, stdout=subprocess.DEVNULL
            )
        except srt.NotThere as reason:
            missing.append((f"{_OTHER}: {reason}", [None, None]))
        results = interleaved(15, **measured)
    table = compared("An empty run, start to end", "bwrap … true", results).tables[0]
    goals = [
        Goal("an empty run", results[_EMPTY] * 1000, 250, " ms"),
        Goal(f"an empty run, by {_OTHER}", ratio(results[_EMPTY], results.get(_OTHER)), 1, "x"),
    ]
    return Result([replace(table, rows=(*table.rows, *missing))], goals)


def bench_codex(home: Path) -> Result:
    """From `moat codex` to the first byte Codex sends, against bare Codex."""
    tool = ensure_tool(CODEX_CLI, home=home, progress=progress_on(sys.stderr))
    with tempfile.TemporaryDirectory() as directory, FirstByte() as first:
        place = Path(directory)
        workspace, codex_home = place / "workspace", place / "codex"
        workspace.mkdir()
        codex_home.mkdir()
        (codex_home / "auth.json").write_text(json.dumps({"OPENAI_API_KEY": "sk-bench"}))
        (codex_home / "config.toml").write_text(
            "[analytics]\nenabled = false\n[features]\n"
            "api_key_model_discovery = false\nplugins = false\n"
        )
        grant_key(home)
        _be_the_api(home, first.port)
        env = environment(str(home))
        bare = {
            **env,
            "CODEX_HOME": str(codex_home),
            "HTTPS_PROXY": f"http://127.0.0.1:{first.port}",
        }
        task = ["exec", "--skip-git-repo-check", "task"]
        codex = str(tool / "bin" / "codex")
        results = interleaved(
            7,
            **{
                "codex exec": lambda: first.after([codex, *task], cwd=workspace, env=bare),
                "moat codex -p": lambda: first.after(
                    moat("codex", "-p", "task"), cwd=workspace, env=env
                ),
            },
        )
    return compared("To the first byte Codex sends", "codex exec", results)


def _be_the_api(home: Path, port: int) -> None:
    """Let the API be a port of ours."""
    file = home / "config.yaml"
    file.write_text(f'upstream:\n  connect_to: {{"api.openai.com:443": "127.0.0.1:{port}"}}\n')
    file.chmod(0o600)


def grant_key(home: Path) -> None:
    """Store a key of the OpenAI API without asking anybody."""
    import datetime

    from moat.core.secret import Secret
    from moat.vault.credential import Credential
    from moat.vault.store import Store

    now = datetime.datetime.now(datetime.UTC)
    Store(home / "credentials").put(Credential("openai", Secret("sk-bench"), now))


class FirstByte:
    """Notes when the first byte reaches a port, and hangs up."""

    def __enter__(self) -> FirstByte:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._came = threading.Event()
        self._when = 0.0
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection, contextlib.suppress(OSError):
                    if connection.recv(1) and not self._came.is_set():
                        self._when = time.perf_counter()
                        self._came.set()

    def after(self, command: list[str], *, cwd: Path, env: dict[str, str]) -> float:
        """Seconds from the start of a command to its first byte; the command is then ended."""
        self._came.clear()
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if not self._came.wait(60):
                raise TimeoutError(f"{Path(command[0]).name} sent nothing")
            return self._when - began
        finally:
            process.terminate()
            process.wait()
