"""docs/reference/codex-package.md has every name of the Go package, and the code has each too."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from functools import reduce
from itertools import pairwise
from pathlib import Path

import pytest

from moat.providers import codex

PAGE = (Path(__file__).parents[2] / "docs/reference/codex-package.md").read_text(encoding="utf-8")
ROWS = [
    (re.findall(r"`([^`]+)`", go), re.findall(r"`([^`]+)`", python), note)
    for go, python, note in re.findall(r"^\| (`.*?) \| (.*?) \| ?(.*) ?\|$", PAGE, re.MULTILINE)
]
COUNTERPARTS = sorted({name for _, names, _ in ROWS for name in names})

# All that the Go package exported, in the order of its own page.
GO_NAMES = [
    "CodexInitMountPath", "OpenAIAPIKeyPlaceholder", "ProxyInjectedPlaceholder",
    "DefaultDependencies", "GenerateMCPConfig", "HasCredential", "NetworkHosts",
    "PopulateStagingDir", "WriteCodexConfig", "WriteMCPConfig", "DoctorSection",
    "DoctorSection.Name", "DoctorSection.Print", "Grant", "NewGrant", "Grant.Execute", "MCPConfig",
    "MCPConfig.MCPServers", "MCPServer", "MCPServer.Command", "MCPServer.Args", "MCPServer.Env",
    "MCPServer.Cwd", "Provider", "Provider.Cleanup", "Provider.ConfigureProxy",
    "Provider.ContainerEnv", "Provider.ContainerMounts", "Provider.Grant",
    "Provider.ImpliedDependencies", "Provider.Name", "Provider.PrepareContainer",
    "Provider.RegisterCLI",
]  # fmt: skip


def test_every_go_name_has_its_row() -> None:
    """Each name once, in the order of the Go package's own page, and no other."""
    assert [[name] for name in GO_NAMES] == [go for go, _, _ in ROWS]
    assert all(python for _, python, _ in ROWS)


def test_every_public_name_is_in_the_table() -> None:
    """What the package offers is a counterpart of something, or stands beside one."""
    assert set(codex.__all__) == {name.partition(".")[0] for name in COUNTERPARTS}


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_every_counterpart_is_there_and_documented(name: str) -> None:
    """A name of the table leads to something, with a docstring of its own."""
    found = reduce(getattr, name.split("."), codex)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert found.__doc__
    else:
        assert described_below(name)


def test_a_name_that_is_not_there_is_found_out() -> None:
    """The twin: a name of nothing leads nowhere, and what has no docstring has none."""
    with pytest.raises(AttributeError):
        reduce(getattr, ["Provider", "acquire"], codex)
    assert not described_below("Provider.grant_ref")


def described_below(name: str) -> bool:
    """Whether the assignment that makes a value is followed by a text that describes it."""
    first, *rest = name.split(".")
    module = importlib.import_module(f"{codex.__name__}.{codex._MODULES.get(first, 'constants')}")
    body = ast.parse(inspect.getsource(module)).body
    if rest:
        (body,) = (
            node.body for node in body if isinstance(node, ast.ClassDef) and node.name == first
        )
    wanted = (rest or [first])[0]
    for node, after in pairwise(body):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == wanted for target in targets):
                return isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    return False


def test_the_example_is_python_that_runs(tmp_path: Path) -> None:
    """Whoever copies the example gets a container, and nothing is left of it."""
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(example.replace('"/tmp"', repr(str(tmp_path))), names)
    assert "codex" == names["setup"].command[0]  # type: ignore[attr-defined]
    assert [] == list(tmp_path.iterdir())
