"""What the person allows or denies for good, put into their config.yaml.

The file is theirs: everything they wrote stays as it stands, comments and order included. So
the text is edited where the entry belongs, and the result is taken only if it reads as the old
settings with that entry and nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from moat.config.network import NetworkRule
from moat.config.paths import Home
from moat.config.settings import Network, Settings, load_settings
from moat.config.settings_schema import SETTINGS
from moat.config.yaml import read_yaml
from moat.config.yaml_edit import Edit, NotEditable, edited
from moat.core.hosts import Destination, HostPattern
from moat.engine.rules import has_port, host_rule
from moat.errors import ConfigError, MoatError
from moat.files import open_trusted_file, write_atomic


def allow_always(home: Home, host: str) -> bool:
    """Let every run reach a host, as HostPattern reads it; False if it was said already.

    Raises MoatError or OSError, with the file as it was.
    """
    return _change(home, NetworkRule(str(HostPattern.parse(host))))


def deny_always(home: Home, host: str) -> bool:
    """Let no run reach a host: without a port, at none. As `allow_always`."""
    canonical = str(HostPattern.parse(host))
    if has_port(host) and not has_port(canonical):
        canonical += ":443"
    return _change(home, NetworkRule(canonical, "deny"))


def _change(home: Home, rule: NetworkRule) -> bool:
    with _locked(home):
        settings = load_settings(home)
        found = _plan(settings.network, rule)
        if found is None:
            return False
        edit, network = found
        file, text, mode = _read(home.config_file)
        try:
            new = edited(text, edit).encode()
            taken: Settings = SETTINGS.read(read_yaml(new, name=str(file)))
        except (NotEditable, ConfigError) as error:
            raise _by_hand(file, rule, str(error)) from None
        if taken != replace(settings, network=network):
            raise _by_hand(file, rule, "its form is an unusual one")
        write_atomic(file, new, mode=mode)
        return True


def _plan(network: Network, rule: NetworkRule) -> tuple[Edit, Network] | None:
    """Where a rule belongs, and what the network is then; None if it is there.

    A denial comes before all else the person said, as it does in a live run. An allowance goes
    where it overrules no project, unless it must overrule the person's own earlier word.
    """
    rules = list(network.rules)
    deciding = next((said for said in rules if _decides(said, rule)), None)
    if rule in rules or (rule.action == "allow" and _lets_through(deciding)):
        return None
    opposite = NetworkRule(rule.host, "deny" if rule.action == "allow" else "allow")
    if opposite in rules:
        at = rules.index(opposite)
        rules[at] = rule
        edit = Edit("network", "rules", str(rule), replaced=at)
        return edit, replace(network, rules=tuple(rules))
    if rule.action == "deny" or deciding is not None:
        edit = Edit("network", "rules", str(rule), first=True)
        return edit, replace(network, rules=(rule, *rules))
    if rule.host in network.allow:
        return None
    return Edit("network", "allow", rule.host), replace(network, allow=(*network.allow, rule.host))


def _decides(said: NetworkRule, rule: NetworkRule) -> bool:
    """Whether what was said decides where a rule is to; what is in a group is not looked up."""
    if said.group is not None:
        return False
    pattern = HostPattern.parse(rule.host)
    host = f"any.{pattern.host}" if pattern.below else pattern.host
    earlier = host_rule(said.host, "settings", said.action)
    return earlier.covers(Destination("https", host, pattern.port))


def _lets_through(said: NetworkRule | None) -> bool:
    return said is not None and said.action == "allow" and not said.paths


def _read(path: Path) -> tuple[Path, str, int]:
    """The file, where a link leads to it; what it says; its mode."""
    file = path.resolve()
    try:
        with open_trusted_file(file) as opened:
            status = os.fstat(opened.fileno())
            text = opened.read().decode()
    except FileNotFoundError:
        return file, "", 0o600
    if status.st_uid != os.geteuid():
        raise MoatError(
            f"{file} belongs to another user (uid {status.st_uid}), and is left as it is",
            hint="have its owner add the entry",
        )
    return file, text, stat.S_IMODE(status.st_mode)


def _by_hand(file: Path, rule: NetworkRule, why: str) -> ConfigError:
    return ConfigError(
        f'{file}:1:1: "{rule}" cannot be added to it: {why}',
        hint=f"add it yourself: edit {shlex.quote(str(file))}, network.rules",
    )


@contextlib.contextmanager
def _locked(home: Home) -> Iterator[None]:
    """One change at a time: two would lose one of them."""
    descriptor = os.open(home.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
