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
    """Let every run reach a host, as HostPattern reads it, or a @GROUP; False if it was said
    already.

    Raises MoatError or OSError, with the file as it was.
    """
    return _change(home, NetworkRule(_canonical(host)))


def deny_always(home: Home, host: str) -> bool:
    """Let no run reach a host: without a port, at none. As `allow_always`."""
    canonical = _canonical(host)
    if has_port(host) and not has_port(canonical):
        canonical += ":443"
    return _change(home, NetworkRule(canonical, "deny"))


def _canonical(host: str) -> str:
    return host if host.startswith("@") else str(HostPattern.parse(host))


def _change(home: Home, rule: NetworkRule) -> bool:
    with _locked(home):
        settings = load_settings(home)
        found = _plan(settings.network, rule)
        if found is None:
            return False
        edits, network = found
        file, text, mode = _read(home.config_file)
        try:
            for edit in edits:
                text = edited(text, edit)
            new = text.encode()
            taken: Settings = SETTINGS.read(read_yaml(new, name=str(file)))
        except (NotEditable, ConfigError) as error:
            raise _by_hand(file, rule, str(error)) from None
        if taken != settings._replace(network=network):
            raise _by_hand(file, rule, "its form is an unusual one")
        write_atomic(file, new, mode=mode)
        return True


def _plan(network: Network, rule: NetworkRule) -> tuple[list[Edit], Network] | None:
    """Where a rule belongs, and what the network is then; None if it is there.

    A denial comes before all else the person said, as it does in a live run. An allowance goes
    where it overrules no project, unless it must overrule the person's own earlier word. The
    opposite of either, of the same host, does not stay.
    """
    rules, allow = list(network.rules), list(network.allow)
    gone = [at for at, said in enumerate(rules) if _is_opposite(said, rule)]
    none = [at for at, host in enumerate(allow) if _is_opposite(NetworkRule(host), rule)]
    kept = [said for at, said in enumerate(rules) if at not in gone]
    deciding = next((said for said in rules if _decides(said, rule)), None)
    done = rule in rules or (rule.action == "allow" and _lets_through(deciding))
    if done and not gone and not none:
        return None
    edits = [Edit("network", "allow", removed=at) for at in reversed(none)]
    allow = [host for at, host in enumerate(allow) if at not in none]
    if gone and rule not in rules:
        first, *others = gone
        edits += [Edit("network", "rules", removed=at) for at in reversed(others)]
        edits.append(Edit("network", "rules", str(rule), replaced=first))
        kept.insert(first, rule)
    else:
        edits += [Edit("network", "rules", removed=at) for at in reversed(gone)]
        if rule.action == "deny" or deciding is not None:
            if rule not in rules:
                edits.append(Edit("network", "rules", str(rule), first=True))
                kept.insert(0, rule)
        elif rule.host not in allow:
            edits.append(Edit("network", "allow", rule.host))
            allow.append(rule.host)
    return (edits, network._replace(allow=tuple(allow), rules=tuple(kept))) if edits else None


def _is_opposite(said: NetworkRule, rule: NetworkRule) -> bool:
    """Whether one of the two allows what the other denies, both as a whole and of the same host:
    at the same port, or where every port is denied by what is said last."""
    if said.action == rule.action or said.paths:
        return False
    if said.group is not None or rule.group is not None:
        return said.host == rule.host
    one, other = HostPattern.parse(said.host), HostPattern.parse(rule.host)
    if rule.action == "deny" and not has_port(rule.host):
        one = one._replace(port=other.port)
    return one == other


def _decides(said: NetworkRule, rule: NetworkRule) -> bool:
    """Whether what was said decides where a rule is to; what is in a group is not looked up."""
    if said.group is not None or rule.group is not None:
        return said.host == rule.host
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
