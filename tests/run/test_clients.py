"""Package managers are asked in their own words, and nothing of a project answers for them."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from moat.errors import ToolError
from moat.run import clients
from moat.run.clients import Answer, Clients, ask_apt, ask_cargo, ask_go, ask_npm, ask_pip


class Machine:
    """A machine of this test's own: a home, and programs that say what they are to say."""

    def __init__(self, root: Path) -> None:
        self.home, self.programs = root / "home", root / "programs"
        self.home.mkdir()
        self.programs.mkdir()
        self.environ = {"PATH": f"{self.programs}:/usr/bin:/bin", "HOME": str(self.home)}
        self.changeable: list[Path] = []

    def program(self, name: str, script: str, *, folder: Path | None = None) -> None:
        file = (folder or self.programs) / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def says(self, name: str, text: str) -> None:
        self.program(name, f"printf '%s\\n' {shlex.quote(text)}")

    @property
    def clients(self) -> Clients:
        return Clients(self.environ, self.changeable)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_client_is_asked_in_no_project_and_with_few_variables(machine: Machine) -> None:
    """In `/`; of the person's variables it gets those that say where its registry is."""
    machine.program("tool", "pwd; env; cat")
    machine.environ |= {"TOOL_URL": "u", "SECRET": "s", "NODE_OPTIONS": "--require=/x"}
    first, *variables = machine.clients.run(("tool",), ["TOOL_URL", "UNSET"], MORE="m").splitlines()
    assert "/" == first
    assert {
        f"HOME={machine.home}",
        "LC_ALL=C.UTF-8",
        "MORE=m",
        f"PATH={machine.environ['PATH']}",
        "TOOL_URL=u",
    } == {line for line in variables if not line.startswith(("PWD=", "_=", "SHLVL=", "OLDPWD="))}


@pytest.mark.attack
@pytest.mark.parametrize("planted", ["path", "link", "program"])
def test_no_program_of_a_workspace_is_started(
    machine: Machine, tmp_path: Path, planted: str
) -> None:
    """By no way that PATH may lead there; the one behind it is found."""
    workspace = tmp_path / "workspace"
    (workspace / "bin").mkdir(parents=True)
    machine.program("tool", f"touch {tmp_path}/ran; echo planted", folder=workspace / "bin")
    machine.says("tool", "own")
    front = workspace / "bin"
    if planted == "link":
        front = tmp_path / "link"
        front.symlink_to(workspace / "bin")
    elif planted == "program":
        front = tmp_path / "front"
        front.mkdir()
        (front / "tool").symlink_to(workspace / "bin/tool")
    machine.environ["PATH"] = f"{front}:{machine.environ['PATH']}"

    assert "planted" in machine.clients.run(("tool",))  # the twin: nobody says it is a workspace
    (tmp_path / "ran").unlink()
    machine.changeable = [workspace]
    if planted == "program":
        with pytest.raises(ToolError, match="tool is not installed"):
            machine.clients.run(("tool",))
    else:
        assert "own" == machine.clients.run(("tool",)).strip()
    assert not (tmp_path / "ran").exists()


@pytest.mark.attack
def test_no_program_is_looked_for_where_one_stands(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative or empty part of PATH is another directory in every directory."""
    machine.program("tool", "echo planted", folder=tmp_path)
    monkeypatch.chdir(tmp_path)
    for path in ("", ".", "::", tmp_path.name):
        machine.environ["PATH"] = path
        with pytest.raises(ToolError, match="not installed"):
            machine.clients.run(("tool",))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "tool did not say: it exited with code 3"),
        ("exec sleep 60", "tool did not say within 0.5 s"),
    ],
)
def test_a_client_that_does_not_say_is_not_waited_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    """The end of a sentence, whatever went wrong."""
    monkeypatch.setattr(clients, "_SECONDS", 0.5)
    machine.program("tool", script)
    with pytest.raises(ToolError) as caught:
        machine.clients.run(("tool",))
    assert reason == caught.value.message


def test_npm_tells_its_registries(machine: Machine) -> None:
    """That of everything and those of scopes; no login reaches a box."""
    machine.says(
        "npm",
        json.dumps(
            {
                "registry": "https://user:secret@npm.example/all/",
                "@corp:registry": "https://corp.example:8443/",
                "fund": True,
            }
        ),
    )
    assert ask_npm(machine.clients) == Answer(
        ("https://user:secret@npm.example/all/", "https://corp.example:8443/"),
        {"NPM_CONFIG_REGISTRY": "https://npm.example/all/"},
    )


@pytest.mark.attack
def test_what_npm_sets_for_a_script_is_the_projects(machine: Machine) -> None:
    """`npm run` puts the project's .npmrc into variables in small letters."""
    machine.program(
        "npm", 'printf \'{"registry": "%s"}\' "$NPM_CONFIG_REGISTRY$npm_config_registry"'
    )
    machine.environ["npm_config_registry"] = "https://evil.example"
    assert ("",) == ask_npm(machine.clients).urls
    machine.environ["NPM_CONFIG_REGISTRY"] = "https://own.example"
    assert ("https://own.example",) == ask_npm(machine.clients).urls


@pytest.mark.parametrize("said", ["", "{}", "[]", "no json", '{"registry": null}', "5"])
def test_npm_that_says_something_else_is_not_guessed_at(machine: Machine, said: str) -> None:
    """Another version may say it in another way."""
    machine.says("npm", said)
    with pytest.raises(ToolError, match="in a way nobody knows"):
        ask_npm(machine.clients)


def pip(machine: Machine, settings: str) -> None:
    machine.program(
        "python3",
        f'case "$*" in "-I -m pip config list") printf "%s\\n" {shlex.quote(settings)};; '
        '*) echo "https://default.example/simple https://files.example";; esac',
    )


@pytest.mark.parametrize(
    ("settings", "urls", "variables"),
    [
        ("", ["https://default.example/simple", "https://files.example"], {}),
        (
            "global.index-url='https://u:p@mirror.example/simple'",
            ["https://u:p@mirror.example/simple"],
            {"PIP_INDEX_URL": "https://mirror.example/simple"},
        ),
        (
            "global.index-url='https://default.example/simple/'",
            ["https://default.example/simple/", "https://files.example"],
            {"PIP_INDEX_URL": "https://default.example/simple/"},
        ),
        (
            ":env:.index-url='https://env.example'\nglobal.index-url='https://global.example'\n"
            "install.index-url='https://install.example'",
            ["https://env.example"],
            {"PIP_INDEX_URL": "https://env.example"},
        ),
        (
            "global.extra-index-url='https://a.example https://b.example\\nfile:///c'\n"
            "global.timeout='5'\ndownload.index-url='https://no.example'",
            [
                *("https://default.example/simple", "https://a.example", "https://b.example"),
                *("file:///c", "https://files.example"),
            ],
            {"PIP_EXTRA_INDEX_URL": "https://a.example https://b.example"},
        ),
    ],
)
def test_pip_tells_its_indexes(
    machine: Machine, settings: str, urls: list[str], variables: dict[str, str]
) -> None:
    """What the environment says counts before what files say; without any, pip's own."""
    pip(machine, settings)
    answer = ask_pip(machine.clients)
    assert (sorted(urls), variables) == (sorted(answer.urls), answer.variables)


def test_pip_that_says_something_else_is_not_guessed_at(machine: Machine) -> None:
    """Another version may say it in another way."""
    pip(machine, "global.index-url=https://mirror.example")
    with pytest.raises(ToolError, match="in a way nobody knows"):
        ask_pip(machine.clients)
    machine.says("python3", "")
    with pytest.raises(ToolError, match="in a way nobody knows"):
        ask_pip(machine.clients)


def test_a_real_pip_is_asked_without_its_project(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its settings are found where it finds them itself; a module of that name is not run."""
    (machine.programs / "python3").symlink_to(sys.executable)
    settings = machine.home / ".config/pip"
    settings.mkdir(parents=True)
    (settings / "pip.conf").write_text("[global]\nindex-url = https://mine.example/simple\n")
    for name in ("pip.py", "json.py", "sitecustomize.py"):
        (tmp_path / name).write_text("raise SystemExit('planted')\n")
    monkeypatch.chdir(tmp_path)
    machine.environ["PYTHONPATH"] = str(tmp_path)
    assert "https://mine.example/simple" in ask_pip(machine.clients).urls
    (settings / "pip.conf").unlink()
    index, *_ = ask_pip(machine.clients).urls
    assert index.startswith("https://")


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm on this machine")
def test_a_real_npm_is_asked_without_its_project(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person's .npmrc counts, and the one where they stand does not."""
    machine.environ["PATH"] = str(Path(shutil.which("npm") or "").parent) + ":/usr/bin:/bin"
    (tmp_path / ".npmrc").write_text("registry=https://planted.example/\n")
    (tmp_path / "package.json").write_text("{}")
    (machine.home / ".npmrc").write_text(
        "registry=https://mine.example/npm/\n@corp:registry=https://corp.example/\n"
        "//mine.example/npm/:_authToken=secret\n"
    )
    monkeypatch.chdir(tmp_path)
    answer = ask_npm(machine.clients)
    assert ("https://mine.example/npm/", "https://corp.example/") == answer.urls
    assert {"NPM_CONFIG_REGISTRY": "https://mine.example/npm/"} == answer.variables


def test_apt_tells_its_sites(machine: Machine) -> None:
    """Each source has one, and many have the same."""
    machine.says("apt-get", "http://deb.example\nhttp://deb.example\nhttps://other.example:8443")
    assert (
        *("http://deb.example", "http://deb.example", "https://other.example:8443"),
    ) == ask_apt(machine.clients).urls


@pytest.mark.parametrize(
    ("proxies", "sums", "urls"),
    [
        ("https://p.example,direct", "sum.example", ["https://p.example", "https://sum.example"]),
        ("http://u:p@p.example:81|off", "off", ["http://u:p@p.example:81"]),
        (
            "https://p.example",
            "sum.example+033de0ae+Ac4zctda https://mirror.example/sum",
            ["https://p.example", "https://mirror.example/sum"],
        ),
        (
            "https://p.example",
            "sum.example+033de0ae+Ac4",
            ["https://p.example", "https://sum.example"],
        ),
        ("direct", "sum.example", []),
        ("off", "off", []),
    ],
)
def test_go_tells_its_proxies_and_its_database(
    machine: Machine, proxies: str, sums: str, urls: list[str]
) -> None:
    """Without a proxy it asks the hosts of the modules themselves, which nobody can list."""
    machine.says("go", json.dumps({"GOPROXY": proxies, "GOSUMDB": sums}))
    answer = ask_go(machine.clients)
    assert tuple(urls) == answer.urls
    if urls:
        assert proxies.replace("u:p@", "") == answer.variables["GOPROXY"]


def test_cargo_is_read_from_its_files(machine: Machine) -> None:
    """Registries of its settings, and where each says that its packages lie."""
    cargo = machine.home / ".cargo"
    index = cargo / "registry/index/index.example-1949cf8c6b5b557f"
    index.mkdir(parents=True)
    (index / "config.json").write_text('{"dl": "https://dl.example/x", "api": null}')
    other = cargo / "registry/index/other.example-1"
    other.mkdir()
    (other / "config.json").write_text("not json")
    assert ("https://index.example", "https://dl.example/x") == ask_cargo(machine.clients).urls

    (cargo / "config.toml").write_text(
        '[registries.corp]\nindex = "sparse+https://corp.example/index/"\n'
    )
    assert (
        *("sparse+https://corp.example/index/", "https://index.example", "https://dl.example/x"),
    ) == ask_cargo(machine.clients).urls

    (cargo / "config.toml").write_text(
        '[source.a]\nreplace-with = "m"\n[source.m]\nregistry = "sparse+https://m.example/"\n'
    )
    assert ("sparse+https://m.example/",) == ask_cargo(machine.clients).urls

    machine.environ["CARGO_HOME"] = str(machine.home / "elsewhere")
    with pytest.raises(ToolError, match="has fetched from none"):
        ask_cargo(machine.clients)


def test_settings_of_cargo_that_cannot_be_read_are_told(machine: Machine) -> None:
    """Or its registries would be others than cargo's."""
    (machine.home / ".cargo").mkdir()
    (machine.home / ".cargo/config.toml").write_text("not = toml = at all")
    with pytest.raises(ToolError, match=r"its settings in \S+config\.toml cannot be read"):
        ask_cargo(machine.clients)
