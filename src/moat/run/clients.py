"""Asking the package managers of this machine which registries they are set up for.

Each is asked in its own words, in `/` and with few variables: an `.npmrc` or `pip.conf` of the
project the person stands in is the agent's, and has no say. Nothing is sent anywhere.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moat.errors import ToolError

_SECONDS = 20.0
_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")
_PIP_SETTING = re.compile(r"(\S+)\.((?:extra-)?index-url)=(.*)")
_PYTHON = ("python3", "-I")
# Which registry pip uses if nobody says: its own word, as no other has it.
_PIP_DEFAULT = (
    "from pip._internal.models.index import PyPI as i; "
    "print(i.simple_url, 'https://' + i.file_storage_domain)"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Addresses a client uses, which may hold a login, and variables that tell another one in a
    box of them, which do not."""

    urls: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


class Clients:
    """The programs of this machine, less those in directories that a run can write to."""

    def __init__(self, environ: Mapping[str, str], changeable: Iterable[Path]) -> None:
        self.environ = environ
        self._changeable = tuple(path.resolve() for path in changeable)
        folders = environ.get("PATH", "").split(os.pathsep)
        self._path = os.pathsep.join(filter(self._is_sound, folders))

    def run(self, command: Sequence[str], variables: Iterable[str] = (), **more: str) -> str:
        """What a command prints; `variables` of the person's environment are passed on to it, and
        set are `more`. Raises ToolError, whose message ends a sentence.
        """
        name, *arguments = command
        program = shutil.which(name, path=self._path)
        if program is None or not self._is_sound(program):
            raise ToolError(f"{name} is not installed")
        passed = {key: self.environ[key] for key in variables if key in self.environ}
        try:
            done = subprocess.run(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                cwd="/",
                env={
                    "PATH": self._path,
                    "HOME": str(self.home),
                    "LC_ALL": "C.UTF-8",
                    **passed,
                    **more,
                },
            )
        except subprocess.TimeoutExpired:
            raise ToolError(f"{name} did not say within {_SECONDS:g} s") from None
        except OSError as error:
            raise ToolError(f"{name} cannot be started: {error.strerror}") from None
        if done.returncode != 0:
            raise ToolError(f"{name} did not say: it exited with code {done.returncode}")
        return done.stdout.decode(errors="replace")

    @property
    def home(self) -> Path:
        """The person's home directory."""
        return Path(self.environ.get("HOME", "/"))

    def _is_sound(self, path: str) -> bool:
        if not Path(path).is_absolute():
            return False  # another in every directory
        real = Path(path).resolve()
        return not any(real.is_relative_to(folder) for folder in self._changeable)


def ask_npm(clients: Clients) -> Answer:
    """The registry, and those of scopes. What npm itself sets in small letters when it runs a
    script is not passed on: it comes from the project of that script."""
    names = ("REGISTRY", "USERCONFIG", "GLOBALCONFIG", "PREFIX")
    said = clients.run(
        ("npm", "config", "list", "--json"), [f"NPM_CONFIG_{name}" for name in names]
    )
    try:
        settings = json.loads(said)
        registry = _text(settings["registry"])
        scoped = [_text(settings[key]) for key in settings if key.endswith(":registry")]
    except (ValueError, LookupError, TypeError):
        raise ToolError("npm says it in a way nobody knows") from None
    return Answer((registry, *scoped), {"NPM_CONFIG_REGISTRY": _without_login(registry)})


def ask_pip(clients: Clients) -> Answer:
    """The index and the extra ones, or what pip uses if nobody says."""
    settings = _pip_settings(clients)
    default = clients.run((*_PYTHON, "-c", _PIP_DEFAULT)).split()
    if len(default) != 2:
        raise ToolError("pip says it in a way nobody knows")
    index = settings.get("index-url", default[0])
    urls = [index, *settings.get("extra-index-url", "").split()]
    if _host(index) == _host(default[0]):
        urls.append(default[1])  # the files of that one are elsewhere
    remote = {
        f"PIP_{name.upper().replace('-', '_')}": " ".join(filter(_is_remote, value.split()))
        for name, value in settings.items()
    }
    return Answer(
        tuple(urls), {name: _without_login(value) for name, value in remote.items() if value}
    )


def _pip_settings(clients: Clients) -> dict[str, str]:
    said = clients.run(
        (*_PYTHON, "-m", "pip", "config", "list"),
        ("PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "XDG_CONFIG_HOME",
         "XDG_CONFIG_DIRS"),
    )  # fmt: skip
    # What is said for everything counts least, what the environment says most.
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in said.split("\n"):
        setting = _PIP_SETTING.fullmatch(line.strip())
        if setting and setting[1] in found:
            found[setting[1]][setting[2]] = _literal(setting[3])
    return found["global"] | found["install"] | found[":env:"]


def ask_apt(clients: Clients) -> Answer:
    """The sites of every source."""
    return Answer(tuple(clients.run(("apt-get", "indextargets", "--format", "$(SITE)")).split()))


def ask_go(clients: Clients) -> Answer:
    """The proxies of modules, and the database of their checksums."""
    said = clients.run(
        ("go", "env", "-json", "GOPROXY", "GOSUMDB"),
        ("GOPROXY", "GOSUMDB", "GOENV", "XDG_CONFIG_HOME"),
        GOTOOLCHAIN="local",  # or it would fetch the one that a go.mod wants
        GOWORK="off",
    )
    try:
        settings = json.loads(said)
        proxies, sums = _text(settings["GOPROXY"]), _text(settings["GOSUMDB"])
    except (ValueError, LookupError, TypeError):
        raise ToolError("go says it in a way nobody knows") from None
    # NAME+KEY, perhaps with the address it is at; the name is an address otherwise.
    name, _, address = sums.partition(" ")
    database = () if name == "off" else (address or f"https://{name.partition('+')[0]}",)
    urls = tuple(filter(_is_remote, re.split("[,|]", proxies)))
    return Answer(
        (*urls, *database) if urls else (),
        {"GOPROXY": _without_login(proxies), "GOSUMDB": _without_login(sums)},
    )


def ask_cargo(clients: Clients) -> Answer:
    """The registries of cargo's settings; and those it has fetched from, unless they are replaced.

    Cargo itself does not tell. What a registry says of where its packages lie is in a file that
    cargo keeps of each.
    """
    home = Path(clients.environ.get("CARGO_HOME") or clients.home / ".cargo")
    settings = _toml(home / "config.toml") or _toml(home / "config")
    entries = [
        entry
        for table in ("registries", "source")
        for entry in _table(settings.get(table)).values()
        if isinstance(entry, dict)
    ]
    said = [entry[key] for entry in entries for key in ("index", "registry") if key in entry]
    urls = [url for url in said if isinstance(url, str)]
    replaced = any("replace-with" in entry for entry in entries)
    hosts = set(map(_host, urls))
    for host, places in _fetched(home / "registry/index"):
        if host in hosts or not replaced:
            urls += (f"https://{host}", *places)
    if not urls:
        raise ToolError("cargo has no registry in its settings and has fetched from none yet")
    return Answer(tuple(urls))


def _fetched(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The registries cargo has an index of, and where each says that its packages are."""
    for file in sorted(folder.glob("*/config.json")):
        host = file.parent.name.rpartition("-")[0]
        try:
            told = json.loads(file.read_bytes())
            yield host, [told[key] for key in ("dl", "api") if isinstance(told.get(key), str)]
        except (OSError, ValueError, AttributeError):
            continue


def _toml(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ToolError(f"its settings in {file} cannot be read: {error}") from None


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _literal(text: str) -> str:
    """What pip writes as Python does."""
    try:
        return _text(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError):
        raise ToolError("pip says it in a way nobody knows") from None


def _without_login(text: str) -> str:
    return _LOGIN.sub("", text)


def _is_remote(url: str) -> bool:
    return url.lower().startswith(("https://", "http://"))


def _host(url: str) -> str:
    return _without_login(url).partition("://")[2].partition("/")[0].lower()
