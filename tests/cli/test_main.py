"""What is typed is understood or answered with what was meant; stdout is data and nothing else."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moat.cli.main import all_commands
from moat.version import __version__
from support.cli import Cli

COMMANDS = all_commands()
SOURCES = Path(__file__).parent.parent.parent / "src" / "moat"


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """What `moat COMMAND --help` prints, by command."""
    printed = {}
    for command in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "moat.cli.main", command, "--help"],
            capture_output=True,
            text=True,
        )
        assert (0, "") == (done.returncode, done.stderr)
        printed[command] = done.stdout
    for name in ("openai", "mcp:linear", "header:mine"):  # each credential has options of its own
        printed["grant"] += subprocess.run(
            [sys.executable, "-m", "moat.cli.main", "grant", name, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return printed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(helps: dict[str, str], command: str) -> None:
    """Help is data, names the command, and needs no home."""
    assert helps[command].startswith(f"usage: moat {command} ")


@pytest.mark.parametrize("asking", [["--help"], ["-h"], ["help"]])
def test_help_lists_every_command(cli: Cli, asking: list[str]) -> None:
    """With one line each, on stdout, and exit code 0."""
    done = cli.run(*asking)
    assert (0, "") == (done.returncode, done.stderr)
    for command, text in COMMANDS.items():
        assert f"  {command:<10} {text}\n" in done.stdout


def test_nothing_typed_is_answered_with_help(cli: Cli) -> None:
    """Help again, but nothing was done, so it is no success."""
    done = cli.run()
    assert (2, cli.run("--help").stdout) == (done.returncode, done.stdout)


def test_help_makes_and_reads_nothing(cli: Cli) -> None:
    """Whatever state the home is in, help is there."""
    cli.home.rmdir()
    for arguments in (["--help"], ["run", "--help"], ["version"], ["list"]):
        assert 0 == cli.run(*arguments).returncode
    assert not cli.home.exists()


HEAVY = {
    "argparse", "asyncio", "cryptography", "dataclasses", "json", "pathlib", "re", "socket",
    "sqlite3", "ssl", "subprocess", "typing", "uvloop", "yaml",
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "besides"),
    [
        (["--help"], set()),
        (
            ["version"],
            {"argparse", "dataclasses", "json", "pathlib", "re", "typing"},
        ),
    ],
)
def test_what_is_not_needed_is_not_imported(arguments: list[str], besides: set[str]) -> None:
    """A start imports what its command takes: help takes next to nothing."""
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from moat.cli.main import main\n"
        f"main({arguments!r})\n"
        "print(*(set(sys.modules) - before), file=sys.stderr)"
    )
    # Isolated, so that nothing a developer has installed imports for us.
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert 0 == done.returncode
    imported = {name.partition(".")[0] for name in done.stderr.split()}
    assert "moat" in imported
    assert set() == imported & HEAVY - besides


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("rnu", "did you mean: moat run"),
        ("codx", "did you mean: moat codex"),
        ("grants", "did you mean: moat grant"),
        ("zzz", "run: moat --help"),
        ("", "run: moat --help"),
        ("--frobnicate", "run: moat --help"),
        ("\x1b]0;x\x07", "run: moat --help"),
    ],
)
def test_an_unknown_command_is_answered_with_the_nearest(cli: Cli, typed: str, hint: str) -> None:
    """Exit code 2, what was typed made safe, and what may have been meant."""
    done = cli.run(typed)
    assert (2, "", f"moat: there is no command {typed!r}\nhint: {hint}\n") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (["run", "--alow-host", "x", "--", "true"], "did you mean --allow-host?"),
        (["run", "--alow-host=x", "--", "true"], "did you mean --allow-host?"),
        (["list", "--jsn"], "did you mean --json?"),
        (["codex", "--promt", "x"], "did you mean --prompt?"),
        (["trace", "--follow"], "run: moat trace --help"),
        (["list", "extra"], "run: moat list --help"),
        (["grant"], "run: moat grant --help"),
        (["grant", "openai", "--json"], "run: moat grant --help"),
        (["run", "-w"], "run: moat run --help"),
        (["run", "--allow", "x", "--", "true"], "run: moat run --help"),
    ],
)
def test_an_unknown_option_is_answered_with_the_nearest(
    cli: Cli, typed: list[str], hint: str
) -> None:
    """Exit code 2, on stderr; a shortened option is not guessed at."""
    done = cli.run(*typed)
    assert (2, "") == (done.returncode, done.stdout)
    message, said = done.stderr.splitlines()
    assert message.startswith(f"moat: moat {typed[0]}: ")
    assert said.startswith("hint: ")
    assert hint in said


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (["run"], "moat run -- npm test"),
        (["run", "--"], "moat run -- npm test"),
        (["run", "--allow-host", "x"], "moat run -- npm test"),
        (["run", "npm", "run", "a b"], "moat run -- npm run 'a b'"),
        (["run", "npm", "--", "test"], "moat run -- npm test"),
    ],
)
def test_a_command_stands_after_two_dashes(cli: Cli, typed: list[str], hint: str) -> None:
    """Without them nothing runs, and the hint is what was meant."""
    done = cli.run(*typed)
    assert (2, "") == (done.returncode, done.stdout)
    assert f"hint: put the command after two dashes: {hint}\n" == done.stderr.splitlines(True)[1]


@pytest.mark.parametrize("task", ["", " ", "\n"])
def test_an_empty_task_is_no_task(cli: Cli, task: str) -> None:
    """An unset variable in a script does not start an agent with nothing to do."""
    done = cli.run("codex", "-p", task)
    assert (2, "moat: the task is empty") == (done.returncode, done.stderr.splitlines()[0])


def test_codex_without_a_terminal_wants_a_task(cli: Cli) -> None:
    """There is nobody to talk to, and the hint says how to give it a task."""
    done = cli.run("codex")
    assert 2 == done.returncode
    assert "there is none" in done.stderr
    assert 'moat codex -p "' in done.stderr


@pytest.mark.parametrize("command", ["logs", "trace"])
@pytest.mark.parametrize("given", [[], ["dc1"], ["../x"]])
def test_without_runs_there_is_nothing_to_show(cli: Cli, command: str, given: list[str]) -> None:
    """That is told, with what to do, and stdout stays empty."""
    done = cli.run(command, *given)
    assert (2, "") == (done.returncode, done.stdout)
    assert ("hint: run: moat list" if given else "moat run -- true") in done.stderr


def test_stdout_is_data(cli: Cli) -> None:
    """What is said to a person goes to stderr, so that a pipe gets data or nothing."""
    for arguments in (["list"], ["grant", "list"]):
        done = cli.run(*arguments)
        assert (0, "") == (done.returncode, done.stdout)
        assert done.stderr
        assert [] == cli.json(*arguments)
    assert __version__ == cli.json("version")["moat"]
    assert f"moat {__version__}\n" in cli.run("version").stdout
    assert cli.run("version").stdout == cli.run("--version").stdout == cli.run("-V").stdout


# every `moat …` that Moat tells somebody to type

_TYPED = re.compile(r"\bmoat ([a-z]+)((?: (?:--?[a-z-]+|[A-Z0-9a-z]+))*)")
# Where a sentence speaks of Moat in small letters.
_PROSE = (
    "moat as an ordinary user", "moat import", "moat is installing", "moat where",
)  # fmt: skip


def told_to_type() -> Iterator[tuple[str, str]]:
    """Every `moat WORD …` in a text of the sources, with the file it is in; docstrings too."""
    for file in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            text = ""
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            elif isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "X" for p in node.values)
                text = "".join(map(str, parts))
            for match in _TYPED.finditer(text):
                if not match[0].startswith(_PROSE):
                    yield f"{file.relative_to(SOURCES)}", match[0]


def test_every_command_in_a_hint_exists(helps: dict[str, str]) -> None:
    """A command or option we tell people to type is one they can type."""
    found = list(told_to_type())
    assert 20 < len(found)
    wrong = []
    for file, typed in found:
        _, command, *words = typed.split()
        options = [word for word in words[: _cut(words)] if word.startswith("-")]
        known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", helps.get(command, "")))
        if command not in COMMANDS or not known.issuperset(options):
            wrong.append((file, typed))
    assert [] == wrong


def _cut(words: list[str]) -> int:
    return words.index("--") if "--" in words else len(words)


# whoever reads us may go at any time


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["version"], ["grant", "list", "--json"], ["list"]]
)
@pytest.mark.parametrize("both", [False, True])
def test_a_reader_that_has_gone_is_no_traceback(cli: Cli, arguments: list[str], both: bool) -> None:
    """As any program in a pipe: it ends, with 141 if there was something to say."""
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as gone:
        gone.wait()
        done = subprocess.run(
            cli.command(*arguments),
            env=cli.environ(),
            stdin=subprocess.DEVNULL,
            stdout=gone.stdin,
            stderr=gone.stdin if both else subprocess.PIPE,
            text=True,
        )
        assert gone.stdin is not None
        gone.stdin.close()
    silent = arguments == ["list"] and not both  # with no runs nothing goes to stdout
    assert (0 if silent else 141) == done.returncode
    if not both:
        assert ("no runs yet\n" if silent else "") == done.stderr


def test_an_error_nobody_can_be_told_is_an_error_still(cli: Cli) -> None:
    """With stderr gone the exit code is all there is, and it stands."""
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as gone:
        gone.wait()
        done = subprocess.run(cli.command("rnu"), env=cli.environ(), stderr=gone.stdin)
        assert gone.stdin is not None
        gone.stdin.close()
    assert 2 == done.returncode


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["grant", "list", "--json"]])
def test_a_full_disk_is_told(cli: Cli, arguments: list[str]) -> None:
    """Output that could not be written is a failure, told in a line."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            cli.command(*arguments), env=cli.environ(), stdout=full, stderr=-1, text=True
        )
    said = "moat: the system refused: No space left on device\nhint: make some room;"
    assert 1 == done.returncode
    assert done.stderr.startswith(said)


def test_names_that_are_no_text_are_shown(cli: Cli) -> None:
    """A directory may have any bytes for a name; listing its run is no traceback."""
    odd = cli.workspace.parent / "odd-\udcff-\x1b[31m-name"
    odd.mkdir()
    assert 0 == cli.run("run", "-w", str(odd), "--", "true").returncode
    done = cli.run("list")
    assert (0, "") == (done.returncode, done.stderr)
    assert "/odd-\\" in done.stdout
    assert "\x1b" not in done.stdout
    assert "odd-" in json.loads(cli.run("list", "--json").stdout)[0]["workspace"]
