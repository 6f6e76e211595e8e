"""The page about `moat.api` has what is in it, and the examples of the guide do what they say."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from moat import api
from support.cli import Cli
from support.runs import ending_all

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/reference/api.md").read_text()
GUIDE = (ROOT / "docs/guides/python.md").read_text()
README = (ROOT / "README.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
EXAMPLES = re.findall(r"^```python\n(.*?)^```", GUIDE, re.M | re.S)


def test_the_page_has_what_is_in_it() -> None:
    """Every public name has a section, and nothing else has."""
    assert set(api.__all__) == set(SECTIONS)


def _public(value: type) -> set[str]:
    """Attributes and methods, but for those of the machinery."""
    named = {field.name for field in fields(value)} if is_dataclass(value) else set()
    named |= {name for name in vars(value) if not name.startswith("_")}
    return named - {"begin"}  # `start` calls it


@pytest.mark.parametrize("name", [n for n in api.__all__ if n not in ("Plan", "Event")])
def test_sections_name_what_there_is(name: str) -> None:
    """Each parameter of a function, each member of a class."""
    value = getattr(api, name)
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", SECTIONS[name]))))
    if inspect.isclass(value):
        assert _public(value) <= words
    else:
        assert set(inspect.signature(value).parameters) <= words


def test_defaults_are_those_of_the_code() -> None:
    """Where a signature is written out."""
    for name in ("start", "attach", "runs", "find", "receipt", "stop", "kill"):
        written = re.search(rf"{name}\((.*?)\)", SECTIONS[name])
        assert written is not None
        said = dict(
            part.strip().partition("=")[::2] for part in written[1].split(",") if part != "*"
        )
        parameters = inspect.signature(getattr(api, name)).parameters.values()
        real = {
            p.name: "" if p.default is p.empty else f"{p.default}"
            for p in parameters
        }  # fmt: skip
        assert {word: value for word, value in said.items() if word != "*"} == real


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (0, "stdout out\nstderr err\nended with 3 \nexit code 3\n"),
        (1, "WRITTEN BY A PROGRAM\n"),
        (2, "GET example.com\nrefused: GET https://example.com/\n"),
        (3, "Output(stream='stdout', data=b'done\\n')\nEnded(code=0, error=None)\n"
            "stopped ['worker']\n"),
    ],
)  # fmt: skip
def test_examples_do_what_they_say(cli: Cli, number: int, printed: str) -> None:
    """As they stand on the page."""
    with ending_all(cli):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", EXAMPLES[number]],
            cwd=cli.workspace,
            env=cli.environ(),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (0, "") == (done.returncode, done.stderr)
    assert sorted(printed.splitlines()) == sorted(done.stdout.splitlines())


def test_every_example_is_run() -> None:
    """None was added without a word about what it prints."""
    assert 4 == len(EXAMPLES)
