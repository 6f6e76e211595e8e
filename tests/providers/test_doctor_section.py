"""What the doctor says of a person's own Codex: enough to help, and no part of a key."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from moat.config.paths import Home
from moat.config.settings import Upstream
from moat.core.finding import Finding
from moat.providers.codex import OPENAI_API_KEY_PLACEHOLDER, DoctorSection, doctor_version
from moat.providers.codex.grant import Grant
from moat.providers.interface import GrantIO
from moat.vault.store import Store

SECRET = "sk-proj-Zq9wV3nRk7LmXb2TfYc8HdPs5GjAu4Ee6Kv1"


class Person:
    """Somebody with a home, a Codex of their own or none, and a Moat."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.codex = home / ".codex"
        self.environ = {"HOME": str(home), "PATH": str(home / "bin")}

    def put(self, name: str, content: str | bytes, mode: int = 0o600) -> Path:
        """Put a file into their ~/.codex."""
        self.codex.mkdir(exist_ok=True)
        file = self.codex / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(mode)
        return file

    def program(self, script: str, folder: str = "bin") -> Path:
        """Put a `codex` on their PATH."""
        (self.home / folder).mkdir()
        file = self.home / folder / "codex"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file

    def findings(self, **more: Any) -> list[Finding]:
        """What is found; that none of it shows a secret is judged here for every test."""
        section = DoctorSection(environ=self.environ, **more)
        found, shown = section.findings(), io.StringIO()
        section.print(shown)
        told = shown.getvalue() + repr(found)
        for start in range(len(SECRET) - 5):
            assert SECRET[start : start + 6] not in told
        return found

    def about(self, subject: str, **more: Any) -> list[tuple[str, str, str | None]]:
        """The findings about one subject."""
        found = [item for item in self.findings(**more) if item.subject == subject]
        return [(item.status, item.detail, item.hint) for item in found]

    def one(self, subject: str, **more: Any) -> tuple[str, str, str | None]:
        """The one finding about a subject."""
        (only,) = self.about(subject, **more)
        return only


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


# their directory


def test_nobody_needs_a_codex_of_their_own(person: Person) -> None:
    """Without ~/.codex nothing is wrong, and nothing is said of files in it."""
    directory = person.home / ".codex"
    assert ("ok", f"{directory} is not there; Moat does not need it", None) == person.one(
        "your Codex"
    )
    assert [] == person.about("config.toml") + person.about("auth.json")


def test_an_empty_directory_has_no_files(person: Person) -> None:
    """Each file that could be there is said not to be."""
    person.codex.mkdir()
    assert ("ok", "none", None) == person.one("config.toml") == person.one("auth.json")


def test_the_directory_is_found(person: Person) -> None:
    """$CODEX_HOME, else below the home that is given, else below the environment's."""
    person.codex.mkdir()
    named, given = person.home / "named", person.home / "given" / ".codex"
    for directory in (named, given):
        directory.mkdir(parents=True)
    assert f"{person.codex}; runs have their own" == person.one("your Codex")[1]
    assert f"{given}; runs have their own" == person.one("your Codex", home=given.parent)[1]
    person.environ["CODEX_HOME"] = str(named)
    assert f"{named}; runs have their own" == person.one("your Codex", home=given.parent)[1]


def test_a_directory_that_is_none_is_a_warning(person: Person) -> None:
    """A file in its place, or a name that is no path."""
    person.codex.write_text(SECRET)
    status, detail, hint = person.one("your Codex")
    assert ("warn", True) == (status, "Not a directory" in detail)
    assert f"look at it: ls -ld {person.codex}" in str(hint)
    person.environ["CODEX_HOME"] = "/a\x00b"
    assert ("warn", r"/a\x00b cannot be read: it is no path") == person.one("your Codex")[:2]


# their settings


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        (b"", "ok", "0 bytes; runs do not read it"),
        (f'api_key = "{SECRET}"'.encode(), "ok", "runs do not read it"),
        (f"{SECRET} = {SECRET}".encode(), "warn", "that are no TOML"),
        (f"[{SECRET}]\n[{SECRET}]".encode(), "warn", "that are no TOML"),
        (b"\xff\xfe", "warn", "2 bytes that are no TOML"),
        (b"a = " + b"[" * 20000, "warn", "that are no TOML"),
        (b"a = " + b"9" * 5000, "warn", "that are no TOML"),
        (b"#" * (1024 * 1024 + 1), "warn", "larger than 1024 KiB"),
    ],
    ids=["empty", "good", "bad", "twice", "binary", "deep", "long number", "large"],
)
def test_settings_are_judged_and_not_repeated(
    person: Person, content: bytes, status: str, detail: str
) -> None:
    """Whether they can be read, and how large they are; nothing of what they say."""
    person.put("config.toml", content)
    found = person.one("config.toml")
    assert (status, True) == (found[0], detail in found[1])
    assert (status == "warn") == bool(found[2])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"keyring"', [("ok", "keyring: its login is in the system keyring", None)]),
        ('"file"', [("ok", "file", None)]),
        (f'"{SECRET}"', None),
        ("[1]", None),
    ],
)
def test_where_the_login_is_kept_is_told(
    person: Person, value: str, expected: list[tuple[str, str, None]] | None
) -> None:
    """A store that is known is named; another is not repeated."""
    person.put("config.toml", f"cli_auth_credentials_store = {value}")
    found = person.about("login store")
    if expected is None:
        assert ("warn", "cli_auth_credentials_store is none known") == found[0][:2]
    else:
        assert expected == found


# their login


def jwt(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJub25lIn0.{payload}.{SECRET}"


def chatgpt(plan: object = "plus", exp: object = 4070908800) -> dict[str, Any]:
    """auth.json as Codex writes it for a ChatGPT login, with a secret wherever one can be."""
    account = {"chatgpt_plan_type": plan, "chatgpt_account_id": SECRET}
    return {
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": None,
        "tokens": {
            "id_token": jwt(email=SECRET, **{"https://api.openai.com/auth": account}),
            "access_token": jwt(exp=exp, sub=SECRET),
            "refresh_token": SECRET,
            "account_id": SECRET,
        },
    }


NOT_USED = "runs do not use it, but the grant openai"


@pytest.mark.parametrize(
    ("document", "status", "detail"),
    [
        ({"OPENAI_API_KEY": SECRET}, "ok", f"an API key; {NOT_USED}"),
        ({"OPENAI_API_KEY": SECRET, SECRET: SECRET}, "ok", f"an API key; {NOT_USED}"),
        ({"OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER}, "warn", "Moat's placeholder"),
        (chatgpt(), "ok", "a ChatGPT login (plan plus, token good until 2099-01-01); "),
        (chatgpt(plan=SECRET, exp=SECRET), "ok", "a ChatGPT login; "),
        (chatgpt(plan=[1], exp=1e300), "ok", "a ChatGPT login; "),
        ({**chatgpt(), "OPENAI_API_KEY": SECRET}, "ok", ", and an API key; "),
        ({"tokens": {"id_token": SECRET, "access_token": 7}}, "ok", "a ChatGPT login; "),
        ({"tokens": {"id_token": f"a.{SECRET}.b"}}, "ok", "a ChatGPT login; "),
        ({"OPENAI_API_KEY": None, "tokens": None}, "ok", "no login"),
        ({}, "ok", "no login"),
        ({"OPENAI_API_KEY": [SECRET]}, "warn", "no login that Codex writes"),
        ({"tokens": SECRET}, "warn", "no login that Codex writes"),
        ([SECRET], "warn", "no login that Codex writes"),
        (SECRET, "warn", "no login that Codex writes"),
        (None, "warn", "no login that Codex writes"),
    ],
)
def test_a_login_is_told_by_its_kind(
    person: Person, document: object, status: str, detail: str
) -> None:
    """An API key, a ChatGPT login with what is known of it, or neither; never what is in it."""
    person.put("auth.json", json.dumps(document))
    found = person.one("auth.json")
    assert (status, True) == (found[0], detail in found[1])
    assert (status == "warn") == bool(found[2])


@pytest.mark.parametrize("content", [SECRET, "", "{", "\xff", "[" * 100_000, f'"{SECRET}'])
def test_a_login_that_is_no_json_is_a_warning(person: Person, content: str) -> None:
    """Codex ignores such a file, and its person had better know."""
    person.put("auth.json", content.encode("latin-1"))
    assert ("warn", "not JSON, so Codex ignores it") == person.one("auth.json")[:2]


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o602, 1)])
def test_an_open_login_is_a_warning(person: Person, mode: int, warned: int) -> None:
    """A key that others can read or change is told of, with the command that closes it."""
    file = person.put("auth.json", json.dumps({"OPENAI_API_KEY": SECRET}), mode)
    login, *warnings = person.about("auth.json")
    assert "ok" == login[0]
    assert (
        warned
        * [
            (
                "warn",
                f"other users may read or change it (mode {mode:04o})",
                f"run: chmod 600 {file}",
            )
        ]
        == warnings
    )


@pytest.mark.parametrize("name", ["auth.json", "config.toml"])
@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("fifo", "not a regular file"),
        ("directory", "not a regular file"),
        ("device", "not a regular file"),
        ("dangling", "a link that leads nowhere"),
        ("loop", "cannot be read: Too many levels of symbolic links"),
    ],
)
def test_what_is_no_file_is_a_warning(person: Person, name: str, kind: str, detail: str) -> None:
    """Nothing is waited for or read without end, and the person is shown where to look."""
    person.codex.mkdir()
    path = person.codex / name
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "dangling":
            path.symlink_to("nowhere")
        case "loop":
            path.symlink_to(name)
    assert ("warn", detail, f"look at it: ls -l {path}") == person.one(name)


def test_a_linked_login_is_read(person: Person) -> None:
    """The twin: Codex follows a link to a file, so it is followed here."""
    (person.home / "dotfiles").write_text(json.dumps({"OPENAI_API_KEY": SECRET}))
    (person.home / "dotfiles").chmod(0o600)
    person.codex.mkdir()
    (person.codex / "auth.json").symlink_to(person.home / "dotfiles")
    assert ("ok", f"an API key; {NOT_USED}", None) == person.one("auth.json")


def test_what_may_not_be_read_is_a_warning(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is closed to its own person is told as that, with the reason."""
    file = person.put("auth.json", SECRET)

    def refused(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("moat.providers.codex.doctor_files.os.open", refused)
        found = person.one("auth.json")
    assert ("warn", "cannot be read: Permission denied", f"look at it: ls -l {file}") == found


# their environment, their grant


def test_a_key_in_the_environment_is_said_to_be_set(person: Person) -> None:
    """That it is there, and no more; and nothing if it is not."""
    assert [] == person.about("OPENAI_API_KEY")
    person.environ["OPENAI_API_KEY"] = SECRET
    assert person.one("OPENAI_API_KEY")[1].startswith("set; ")


def test_the_grant_is_looked_at(person: Person) -> None:
    """Not stored, stored, and stored but not to be opened."""
    moat = person.home / "moat"
    moat.mkdir(mode=0o700)
    assert ("warn", "run: moat grant openai") == person.one("grant", moat_home=moat)[::2]
    key = GrantIO({"OPENAI_API_KEY": SECRET}, Upstream(), None, validate=False)
    Store(Home(moat).credentials).put(Grant().execute(key))
    assert "ok" == person.one("grant", moat_home=moat)[0]
    (moat / "credentials" / "vault.key").unlink()
    status, detail, hint = person.one("grant", moat_home=moat)
    assert ("fail", True, True) == (status, "key" in detail, bool(hint))


def test_moats_home_is_found(person: Person) -> None:
    """In the environment; one that cannot be is told as it is elsewhere."""
    person.environ["MOAT_HOME"] = "relative"
    status, detail, hint = person.one("grant")
    assert ("fail", True, True) == (status, "MOAT_HOME" in detail, bool(hint))
    person.environ["MOAT_HOME"] = str(person.home / "moat")
    assert "warn" == person.one("grant")[0]
    assert not (person.home / "moat").exists()


# the program


def test_a_codex_of_their_own_says_its_version(person: Person) -> None:
    """It is named with its version; and that runs use another."""
    assert ("ok", "none; runs bring their own", None) == person.one("codex on PATH")
    program = person.program("echo some words; echo codex-cli 0.170.1-alpha.2")
    detail = f"0.170.1-alpha.2: {program}; runs do not use it"
    assert ("ok", detail, None) == person.one("codex on PATH")


@pytest.mark.parametrize(
    "script",
    [
        f"echo {SECRET}",
        f"echo codex-cli 1.2.3-{SECRET}",
        f"echo codex-cli {SECRET}",
        "exit 1",
        "kill -9 $$",
        "cat /dev/zero",
        'echo "codex-cli $OPENAI_API_KEY"',
    ],
)
def test_a_program_that_says_no_version_is_a_warning(person: Person, script: str) -> None:
    """However much it says, only a version is repeated; and it is given no key to say."""
    person.environ["PATH"] += ":/usr/bin:/bin"
    person.environ["OPENAI_API_KEY"] = SECRET
    program = person.program(script)
    detail = f"{program} does not say its version; runs do not use it"
    assert ("warn", detail, "try it: codex --version") == person.one("codex on PATH")


def test_a_silent_program_is_not_waited_for(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the limit it is ended, with whatever it started."""
    monkeypatch.setattr(doctor_version, "TIME_LIMIT", 0.3)
    person.environ["PATH"] += ":/usr/bin:/bin"
    started = person.home / "started"
    person.program(f"sleep 600 & echo $! > {started}; wait")
    began = time.monotonic()
    found = DoctorSection(environ=person.environ).findings()
    assert time.monotonic() - began < 5
    assert ["warn"] == [item.status for item in found if item.subject == "codex on PATH"]
    child = Path(f"/proc/{started.read_text().strip()}/stat")
    gone = time.monotonic() + 5
    while child.exists() and ") Z " not in child.read_text():
        assert time.monotonic() < gone
        time.sleep(0.02)


def test_a_relative_part_of_path_is_passed_over(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in the directory one happens to be in, or below, is not run, by whatever name: that
    may be a project, and the program an agent's. From elsewhere it is."""
    program = person.program("echo codex-cli 1.2.3", folder="here")
    for place in (program.parent, program.parent.parent):
        monkeypatch.chdir(place)
        for path in (".", "", ":", "../here", "here", str(program.parent)):
            person.environ["PATH"] = path
            assert ("ok", "none; runs bring their own", None) == person.one("codex on PATH")
    monkeypatch.chdir("/usr")
    person.environ["PATH"] = f".:{program.parent}"
    assert "1.2.3" in person.one("codex on PATH")[1]


def test_a_program_is_asked_elsewhere(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many a program runs what it finds in the directory it is started in."""
    program = person.program(
        "echo codex-cli 1.2.3; pwd > $HOME/was; env >> $HOME/was", folder="there"
    )
    monkeypatch.chdir("/usr")
    path = f"{program.parent}:/usr/bin:/bin"
    person.environ |= {"PATH": path, "HOME": str(person.home), "OPENAI_API_KEY": "sk-real-one"}
    assert "1.2.3" in person.one("codex on PATH")[1]
    was = (person.home / "was").read_text()
    assert (True, False) == ("/moat-doctor-" in was.splitlines()[0], "sk-real-one" in was)


def test_asking_the_real_codex_changes_nothing(
    person: Person, codex_binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its version is known, and nothing new is in its person's home."""
    monkeypatch.chdir("/usr")
    person.environ["PATH"] = str(codex_binary.parent)
    version = subprocess.run(
        [codex_binary, "--version"],
        env={"CODEX_HOME": str(person.home / "none")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[-1]
    person.codex.mkdir()
    detail = f"{version}: {codex_binary}; runs do not use it"
    assert ("ok", detail, None) == person.one("codex on PATH")
    assert [person.codex] == list(person.home.rglob("*"))


def test_the_version_of_runs_is_told(person: Person) -> None:
    """Where it is installed, or that it will be; and nothing if nobody says which it is."""
    assert [] == person.about("Codex for runs")
    found = person.one("Codex for runs", pinned="0.169.0", installed=Path("/tools/codex"))
    assert ("ok", "0.169.0: /tools/codex", None) == found
    found = person.one("Codex for runs", pinned="0.169.0")
    assert ("ok", "0.169.0: installed at the first run", None) == found


# how it is shown


def test_the_section_is_printed(person: Person) -> None:
    """Its name, then the findings in columns, each hint under its finding."""
    person.put("auth.json", "{", 0o644)
    shown = io.StringIO()
    DoctorSection(environ=person.environ, pinned="0.169.0").print(shown)
    moat = person.home / ".moat"
    assert not moat.exists()
    assert [
        "Codex Configuration",
        f"ok    your Codex      {person.codex}; runs have their own",
        "ok    config.toml     none",
        "warn  auth.json       not JSON, so Codex ignores it",
        "                      hint: log in anew: codex login",
        "warn  auth.json       other users may read or change it (mode 0644)",
        f"                      hint: run: chmod 600 {person.codex / 'auth.json'}",
        "warn  grant           openai is not granted, so runs have no key",
        "                      hint: run: moat grant openai",
        "ok    codex on PATH   none; runs bring their own",
        "ok    Codex for runs  0.169.0: installed at the first run",
    ] == shown.getvalue().splitlines()


def test_nothing_of_it_moves_a_terminal(person: Person) -> None:
    """Names are the person's, and may hold what a terminal obeys."""
    person.environ["CODEX_HOME"] = str(person.home / "a\x1b[2Jb\nc")
    (person.home / "a\x1b[2Jb\nc").mkdir()
    os.mkfifo(person.home / "a\x1b[2Jb\nc" / "auth.json")
    for finding in person.findings():
        assert (finding.detail + str(finding.hint)).isprintable()
