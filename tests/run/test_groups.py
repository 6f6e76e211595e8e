"""Groups of hosts, and whose word each is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from moat.errors import ToolError, UsageError
from moat.run.groups import KNOWN, Groups


def groups(tmp_path: Path, own: Mapping[str, tuple[str, ...]] | None = None) -> Groups:
    """Groups of a machine on which npm alone is installed."""
    npm = tmp_path / "npm"
    npm.write_text(
        "#!/bin/sh\n"
        f"echo asked >> {tmp_path}/asked\n"
        'echo \'{"registry": "http://u:p@R.example:8081/x", "@a:registry": "https://r.example",\'\n'
        'echo \'"@b:registry": "http://plain.example/", "@c:registry": "file:///x",\'\n'
        'echo \'"@d:registry": "https://[::1]/", "@e:registry": "https://no host/"}\'\n'
    )
    npm.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/nowhere", "HOME": str(tmp_path)}
    return Groups(own or {}, environ=environ, changeable=())


def test_a_clients_group_is_the_places_of_its_addresses(tmp_path: Path) -> None:
    """With their ports, each once; what is no address of the network is left out."""
    found = groups(tmp_path)
    group = found.find("npm")
    assert ["r.example:8081", "r.example", "plain.example:80", "[::1]"] == list(
        map(str, group.hosts)
    )
    assert ("npm", {"NPM_CONFIG_REGISTRY": "http://R.example:8081/x"}) == (
        group.origin,
        group.variables,
    )
    assert found.find("npm") is group
    assert "asked\n" == (tmp_path / "asked").read_text()


def test_no_client_is_asked_for_what_nobody_names(tmp_path: Path) -> None:
    """Most runs name no group, or one of the person's own."""
    found = groups(tmp_path, {"npm": ("mirror.example",), "corp": ("*.corp.example:8443",)})
    assert ["mirror.example"] == list(map(str, found.find("npm").hosts))
    assert ["*.corp.example:8443"] == list(map(str, found.find("corp").hosts))
    assert {"config.yaml"} == {found.find(name).origin for name in ("npm", "corp")}
    assert "api.github.com" in map(str, found.find("github").hosts)
    assert not (tmp_path / "asked").exists()
    assert sorted({*KNOWN, "corp"}) == found.names


@pytest.mark.parametrize(
    ("name", "program"), [("go", "go"), ("debian", "apt-get"), ("pypi", "python3")]
)
def test_a_client_that_is_not_there_is_told(tmp_path: Path, name: str, program: str) -> None:
    """With what the group would be, and what to write."""
    with pytest.raises(ToolError) as caught:
        groups(tmp_path).find(name)
    assert caught.value.message.startswith(f"the group @{name} is what ")
    assert caught.value.message.endswith(f"on this machine, and {program} is not installed")
    assert f"network: {{groups: {{{name}: [" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["nix", "", "NPM", "@npm", "../npm"])
def test_a_group_that_is_none_is_told(tmp_path: Path, name: str) -> None:
    """With those that are."""
    with pytest.raises(UsageError, match="there is no group") as caught:
        groups(tmp_path).find(name)
    assert "@github" in str(caught.value.hint)


def test_a_client_without_a_host_is_told(tmp_path: Path) -> None:
    """A group of nothing would allow nothing, and nobody would see why."""
    found = groups(tmp_path)
    (tmp_path / "npm").write_text('#!/bin/sh\necho \'{"registry": "file:///x"}\'\n')
    with pytest.raises(ToolError, match="and that is no host"):
        found.find("npm")


def test_an_own_group_may_be_empty(tmp_path: Path) -> None:
    """Who writes that down means it."""
    assert () == groups(tmp_path, {"npm": ()}).find("npm").hosts
