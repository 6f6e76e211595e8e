"""A web server, over real TLS, of what tools fetch: git repositories, wheels, npm packages, crates.

Each kind has one package of the same name, made up here; a repository is made by `new_repository`.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
import zipfile
from functools import cache
from pathlib import Path
from types import TracebackType

from aiohttp import web

from standin.certs import make_certificates

HOST = "packages.example.com"
URL = f"https://{HOST}"
PACKAGE = "moat-demo"
_MODULE = PACKAGE.replace("-", "_")
_VERSION = "1.2.3"
_WHEEL = f"{_MODULE}-{_VERSION}-py3-none-any.whl"
_LARGEST = 1 << 25


class RunningMirror:
    """The server, in a thread of its own. `seen` holds the path of every request it was sent."""

    def __init__(self, directory: Path) -> None:
        self._certificates = make_certificates(directory, names=[HOST])
        self._repositories = directory / "git"
        self._repositories.mkdir()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.seen: list[str] = []

    @property
    def ca_file(self) -> Path:
        """The root its certificate hangs from."""
        return self._certificates.ca_file

    def __enter__(self) -> RunningMirror:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    async def _start(self) -> None:
        application = web.Application(client_max_size=_LARGEST)
        for path, handler in {
            "/hello": _hello,
            "/git/{rest:.*}": self._git,
            f"/simple/{PACKAGE}/": _simple,
            f"/simple/{_WHEEL}": _answer(_wheel()),
            f"/npm/{PACKAGE}": _npm,
            f"/npm/{PACKAGE}.tgz": _answer(_npm_archive()),
            "/cargo/config.json": _answer(json.dumps({"dl": f"{URL}/crates"}).encode()),
            f"/cargo/{PACKAGE[:2]}/{PACKAGE[2:4]}/{PACKAGE}": _answer(_crate_line()),
            f"/crates/{PACKAGE}/{_VERSION}/download": _answer(_crate()),
        }.items():
            application.router.add_route("*", path, handler)
        application.middlewares.append(self._note)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        context = self._certificates.server_context()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self.port: int = self._runner.addresses[0][1]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    @web.middleware
    async def _note(self, request: web.Request, handler: object) -> web.StreamResponse:
        self.seen.append(request.path)
        return await handler(request)  # type: ignore[operator]

    # git

    def new_repository(self, name: str) -> str:
        """Make a repository with one commit that anybody may push to; its URL."""
        bare, work = self._repositories / name, self._repositories / f"{name}.work"
        environ = {"PATH": os.environ["PATH"], "HOME": str(self._repositories)}
        author = ("-c", "user.name=A", "-c", "user.email=a@example.com")
        for command in (
            ["init", "-q", "--bare", "-b", "main", str(bare)],
            ["-C", str(bare), "config", "http.receivepack", "true"],
            ["init", "-q", "-b", "main", str(work)],
            ["-C", str(work), *author, "commit", "-q", "--allow-empty", "-m", "the first"],
            ["-C", str(work), "push", "-q", str(bare), "main"],
        ):
            subprocess.run(["git", *command], env=environ, check=True)
        shutil.rmtree(work)
        return f"{URL}/git/{name}"

    def log_of(self, name: str) -> list[str]:
        """The subjects of the commits of a repository, the newest first."""
        command = ["git", "-C", str(self._repositories / name), "log", "--format=%s", "main"]
        return subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.splitlines()

    async def _git(self, request: web.Request) -> web.Response:
        """Ask git's own smart-HTTP server, by CGI (RFC 3875)."""
        body = await request.read()  # decompressed
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self._repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": request.method,
            "PATH_INFO": "/" + request.match_info["rest"],
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        done = await asyncio.to_thread(
            subprocess.run, ["git", "http-backend"], input=body, env=environ, capture_output=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, headers=headers, body=content)


def _answer(content: bytes) -> object:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=content)

    return handler


async def _hello(_: web.Request) -> web.Response:
    return web.Response(text="hello\n")


# PyPI's simple API (PEP 503)


async def _simple(_: web.Request) -> web.Response:
    digest = hashlib.sha256(_wheel()).hexdigest()
    link = f'<a href="/simple/{_WHEEL}#sha256={digest}">{_WHEEL}</a>'
    return web.Response(text=f"<!DOCTYPE html>{link}", content_type="text/html")


@cache
def _wheel() -> bytes:
    place = f"{_MODULE}-{_VERSION}.dist-info"
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as wheel:
        for name, text in {
            f"{_MODULE}.py": "SAYS = 'from a wheel'\n",
            f"{place}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {_VERSION}\n",
            f"{place}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{place}/RECORD": f"{_MODULE}.py,,\n{place}/RECORD,,\n",
        }.items():
            wheel.writestr(zipfile.ZipInfo(name), text)
    return written.getvalue()


# npm


async def _npm(_: web.Request) -> web.Response:
    digest = hashlib.sha1(_npm_archive()).hexdigest()
    dist = {"tarball": f"{URL}/npm/{PACKAGE}.tgz", "shasum": digest}
    version = {"name": PACKAGE, "version": _VERSION, "dist": dist}
    tags = {"latest": _VERSION}
    return web.json_response({"name": PACKAGE, "dist-tags": tags, "versions": {_VERSION: version}})


@cache
def _npm_archive() -> bytes:
    package = json.dumps({"name": PACKAGE, "version": _VERSION, "main": "index.js"})
    says = "module.exports = 'from npm'\n"
    return _archive({"package/package.json": package, "package/index.js": says})


# cargo's sparse index, and a crate


def _crate_line() -> bytes:
    line = {"name": PACKAGE, "vers": _VERSION, "deps": [], "features": {}, "yanked": False}
    return json.dumps(line | {"cksum": hashlib.sha256(_crate()).hexdigest()}).encode() + b"\n"


@cache
def _crate() -> bytes:
    top = f"{PACKAGE}-{_VERSION}"
    manifest = f'[package]\nname = "{PACKAGE}"\nversion = "{_VERSION}"\nedition = "2021"\n'
    return _archive({f"{top}/Cargo.toml": manifest, f"{top}/src/lib.rs": "// from a crate\n"})


def _archive(files: dict[str, str]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return written.getvalue()
