"""Attacks from inside a box, as root and as somebody without rights.

Each is made twice: in a box of `moat run`, where it must end as the table says, and in a twin of
that box which lacks the one guard against it, where it must succeed. Otherwise it would prove
nothing about the guard.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.boxes import Change, find, run_twin, unchanged, with_host_files, without
from support.cli import Cli
from support.users import User

pytestmark = pytest.mark.attack

PYTHON = shutil.which("python3", path="/usr/bin:/bin")
ATTACKER = (Path(__file__).parent / "inside.py").read_text()


def powerful(arguments: list[str]) -> list[str]:
    """Root of the namespaces, with every capability, no filter, and the same mounts."""
    guards = ("--seccomp *", "--disable-userns", "--cap-drop ALL", "--uid 1000 --gid 1000")
    return [*without(*guards)(arguments), "--uid", "0", "--gid", "0", "--cap-add", "ALL"]


def with_writable_init(arguments: list[str]) -> list[str]:
    """The first program of the box as a file that can be written to."""
    at = find(arguments, ["--ro-bind", "*", "/moat/init"])
    return [*arguments[:at], "--bind", *arguments[at + 1 :]]


@dataclass(frozen=True)
class Guard:
    """How to make a box without one guard."""

    change: Change = unchanged
    marked_environment: bool = False
    """Bubblewrap is started with the marker in its environment."""

    secret_descriptor: bool = False
    options_on_command_line: bool = False
    no_box: bool = False


FIRST_PROCESS = without("--perms 0555 --tmpfs /proc/1", "--remount-ro /proc/1")

GUARDS = {
    "no network": Guard(without("--unshare-net")),
    "own name": Guard(without("--unshare-uts", "--hostname moat")),
    "own files": Guard(with_host_files),
    "own processes": Guard(without("--unshare-pid")),
    "own memory": Guard(without("--unshare-ipc")),
    "first process hidden": Guard(FIRST_PROCESS),
    "started with nothing": Guard(FIRST_PROCESS, marked_environment=True),
    "options by descriptor": Guard(FIRST_PROCESS, options_on_command_line=True),
    "own environment": Guard(without("--clearenv"), marked_environment=True),
    "no descriptors": Guard(secret_descriptor=True),
    "masked": Guard(without("--ro-bind /dev/null /proc/keys")),
    "fixed devices": Guard(),  # not an option: Moat does it from outside
    "read-only /proc": Guard(without("--remount-ro /proc")),
    "read-only root": Guard(without("--remount-ro /")),
    "read-only init": Guard(with_writable_init),
    "filter": Guard(without("--seccomp *")),
    "no nested namespaces": Guard(without("--seccomp *", "--disable-userns")),
    "no powers": Guard(powerful),
    "box": Guard(no_box=True),
}


@dataclass(frozen=True)
class Attack:
    """What stops it, and how that is said."""

    guard: str
    says: str
    by_root: str | None = None
    """Only root's box is in danger: what the kernel itself says to others."""

    of_another: str | None = None
    """What is said to those whom the thing does not belong to."""


ATTACKS = {
    "tcp_to_loopback": Attack("no network", "ECONNREFUSED"),
    "tcp_to_loopback_v6": Attack("no network", "ECONNREFUSED"),
    "tcp_to_another_address_of_the_host": Attack("no network", "ECONNREFUSED"),
    "udp_to_loopback": Attack("no network", "ECONNREFUSED"),
    "udp_to_another_address_of_the_host": Attack("no network", "ECONNREFUSED"),
    "route_to_the_world": Attack("no network", "delivered here"),
    "route_to_the_world_v6": Attack("no network", "delivered here"),
    "interfaces_of_the_host": Attack("no network", "lo"),
    "abstract_socket": Attack("no network", "ECONNREFUSED"),
    "name_of_the_host": Attack("own name", "moat"),
    "unix_socket_in_tmp": Attack("own files", "ENOENT"),
    "unix_socket_in_run": Attack("own files", "ENOENT"),
    "unix_socket_in_home": Attack("own files", "ENOENT"),
    "settings_of_moat": Attack("own files", "ENOENT"),
    "key_of_the_ca": Attack("own files", "ENOENT"),
    "key_of_the_vault": Attack("own files", "ENOENT"),
    "credential_in_the_vault": Attack("own files", "ENOENT"),
    "ssh_key_in_home": Attack("own files", "ENOENT"),
    "home_of_root": Attack("own files", "ENOENT", by_root="EACCES"),
    "shadow": Attack("own files", "ENOENT", by_root="EACCES"),
    "beside_the_workspace": Attack("own files", "ENOENT"),
    "above_the_workspace_by_descriptor": Attack("own files", "not there"),
    "symlink_out_of_the_workspace": Attack("own files", "ENOENT"),
    "hard_link_into_the_workspace": Attack("own files", "ENOENT"),
    "write_to_usr": Attack("own files", "EROFS", by_root="EACCES"),
    "sys_of_the_host": Attack("own files", "ENOENT"),
    "devices_of_the_host": Attack("own files", "none"),
    "posix_memory": Attack("own files", "ENOENT"),
    "write_to_etc": Attack("read-only root", "EROFS"),
    "write_to_the_root": Attack("read-only root", "EROFS"),
    "change_the_init": Attack("read-only init", "EROFS", of_another="EACCES"),
    "core_pattern": Attack("read-only /proc", "EROFS", by_root="EACCES"),
    "take_a_device_away": Attack("fixed devices", "EROFS", by_root="EPERM"),
    "change_bubblewrap": Attack("first process hidden", "ENOENT"),
    "environment_of_the_first_process": Attack("started with nothing", "ENOENT"),
    "arguments_of_the_first_process": Attack("options by descriptor", "ENOENT"),
    "own_environment": Attack("own environment", "not in it"),
    "open_descriptors": Attack("no descriptors", "none"),
    "names_of_keys": Attack("masked", "EACCES"),
    "system_v_memory": Attack("own memory", "ENOENT"),
    "processes_of_the_host": Attack("own processes", "none"),
    "signal_to_the_host": Attack("own processes", "ESRCH"),
    "set_user_id_program": Attack("filter", "EPERM"),
    "set_group_id_program": Attack("filter", "EPERM"),
    "set_user_id_from_the_start": Attack("filter", "EPERM"),
    "no_filter": Attack("filter", "filtered"),
    "nested_user_namespace": Attack("no nested namespaces", "EPERM"),
    "capabilities": Attack("no powers", "none"),
    "remount_writable": Attack("no powers", "EPERM"),
    "unmount": Attack("no powers", "EPERM"),
    "new_interface": Attack("no powers", "EPERM"),
    "new_privileges": Attack("box", "forbidden"),
    "set_user_id_program_of_root": Attack("box", "1000"),
}


@dataclass
class Ground:
    """A user with things worth attacking: what there is, and how attacks on it ended."""

    user: User
    cli: Cli
    targets: dict[str, Any]
    secret: Path
    moat: dict[str, str]
    _twins: dict[str, dict[str, str]] = field(default_factory=dict)

    def twin(self, name: str) -> dict[str, str]:
        """How the attacks went that only this guard stops, without it."""
        if name not in self._twins:
            guard, attacks = GUARDS[name], [key for key, a in ATTACKS.items() if a.guard == name]
            assert PYTHON is not None
            command = [PYTHON, "-I", "-c", ATTACKER, json.dumps(self.targets), *attacks]
            done = self._run_alone(command) if guard.no_box else self._run_twin(guard, command)
            assert done.returncode == 0, done.stderr
            self._twins[name] = json.loads(done.stdout)
        return self._twins[name]

    def _run_twin(self, guard: Guard, command: list[str]) -> subprocess.CompletedProcess[str]:
        with self.secret.open() as secret:
            return run_twin(
                self.user,
                self.cli.workspace,
                command,
                guard.change,
                environment={"AWS_SECRET_ACCESS_KEY": self.targets["marker"]}
                if guard.marked_environment
                else None,
                descriptors=[secret.fileno()] if guard.secret_descriptor else [],
                options_on_command_line=guard.options_on_command_line,
            )

    def _run_alone(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.user.become, *command],
            cwd=self.cli.workspace,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def ground(user: User) -> Iterator[Ground]:
    """All attacks at once in one box of `moat run`."""
    if PYTHON is None:
        pytest.skip("no python3 in /usr/bin to attack with")
    with ExitStack() as stack:
        cli = user.cli()
        marker = f"secret-{uuid.uuid4().hex}"
        targets: dict[str, Any] = {
            "marker": marker,
            "place": str(user.place),
            "hostname": socket.gethostname(),
        }
        targets |= plant_files(user, cli, marker)
        targets |= listen(stack, cli)
        targets |= share_memory(stack)
        token = f"host-process-{uuid.uuid4().hex}"
        waiting = [*user.become, "/bin/sh", "-c", "read -r _", token]
        other = stack.enter_context(subprocess.Popen(waiting, stdin=subprocess.PIPE))
        targets |= {"pid": other.pid, "token_backwards": token[::-1]}
        secret = cli.home.parent / "secret.txt"
        secret.write_text(marker)
        moat = attack_with_moat(cli, targets, secret)
        yield Ground(user, cli, targets, secret, moat)


def attack_with_moat(cli: Cli, targets: dict[str, Any], secret: Path) -> dict[str, str]:
    """Run every attack in a box of `moat run`, by a person whose secrets lie about."""
    assert PYTHON is not None
    with secret.open() as inherited:
        done = subprocess.run(
            cli.command("run", "--", PYTHON, "-I", "-c", ATTACKER, json.dumps(targets)),
            cwd=cli.workspace,
            env=cli.environ(AWS_SECRET_ACCESS_KEY=targets["marker"]),
            pass_fds=[inherited.fileno()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert (0, "") == (done.returncode, done.stderr)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def plant_files(user: User, cli: Cli, marker: str) -> dict[str, str]:
    """Secrets where people have them: in Moat's home, in ~/.ssh, beside the workspace."""
    directory = cli.home.parent
    ssh_key = directory / ".ssh" / "id_ed25519"
    moat_files = {
        "config": cli.home / "config.yaml",
        "ca_key": cli.home / "ca" / "ca.key",
        "vault_key": cli.home / "credentials" / "vault.key",
        "credential": cli.home / "credentials" / "openai.json",
    }
    made = cli.run("run", "--", "true")  # the CA is there from the first run on
    assert made.returncode == 0, made.stderr
    for path in (ssh_key, directory / "beside.txt", *moat_files.values()):
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text("upstream: {}\n" if path.name == "config.yaml" else marker)
            user.own(path.parent, path)
    escape = cli.workspace / "escape"
    escape.symlink_to(ssh_key)
    identity = cli.workspace / "id-of-root"
    shutil.copyfile("/usr/bin/id", identity)
    identity.chmod(0o4755)
    return {"ssh_key": str(ssh_key)} | {name: str(path) for name, path in moat_files.items()}


def listen(stack: ExitStack, cli: Cli) -> dict[str, Any]:
    """Servers on the host, of every kind."""
    name = f"moat-test-{uuid.uuid4().hex}"
    paths = {
        "unix_tmp": Path("/tmp", name),
        "unix_run": Path("/run" if os.access("/run", os.W_OK) else "/tmp", name + "-run"),
        "unix_home": cli.home.parent / "s",
    }
    for path in paths.values():
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(path))
        stack.callback(path.unlink)
        path.chmod(0o777)
        server.listen(5)
    abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
    abstract.bind("\0" + name)
    abstract.listen(5)
    tcp = stack.enter_context(socket.create_server(("0.0.0.0", 0)))
    found: dict[str, Any] = {key: str(path) for key, path in paths.items()}
    found |= {"abstract": name, "tcp": tcp.getsockname()[1], "address": address_of_the_host()}
    with suppress(OSError):
        tcp6 = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        found["tcp6"] = tcp6.getsockname()[1]
    udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.bind(("0.0.0.0", 0))
    echo = threading.Thread(target=partial(echo_datagrams, udp))
    echo.start()
    stack.callback(echo.join)
    stack.callback(lambda: udp.sendto(b"end", ("127.0.0.1", udp.getsockname()[1])))
    return found | {"udp": udp.getsockname()[1]}


def echo_datagrams(server: socket.socket) -> None:
    while True:
        data, sender = server.recvfrom(10)
        if data == b"end":
            return
        server.sendto(data, sender)


def address_of_the_host() -> str | None:
    """An address of the host besides loopback's, as a client on the host would see it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 53))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def share_memory(stack: ExitStack) -> dict[str, Any]:
    """Memory any process of the host may take: System V's and POSIX's."""
    libc = ctypes.CDLL(None, use_errno=True)
    key = int.from_bytes(os.urandom(3), "big") | 1 << 24
    segment = libc.shmget(key, 4096, 0o1666)  # IPC_CREAT
    assert segment != -1
    stack.callback(libc.shmctl, segment, 0, None)  # IPC_RMID
    file = Path("/dev/shm", f"moat-test-{uuid.uuid4().hex}")
    file.write_text("shared")
    stack.callback(file.unlink)
    file.chmod(0o644)
    return {"shm": key, "posix_shm": file.name}


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_box_withstands(attack: str, ground: Ground) -> None:
    """In a box the attack comes to nothing, and is told so in these words."""
    expected = ATTACKS[attack]
    allowed = {expected.says}
    if ground.user.uid != 0:
        allowed |= {expected.by_root, expected.of_another} - {None}
    assert ground.moat[attack] in allowed


@pytest.mark.parametrize("attack", ATTACKS)
def test_without_its_guard_the_attack_succeeds(attack: str, ground: Ground) -> None:
    """The attack would find the hole, if there were one."""
    guard = ATTACKS[attack].guard
    said = ground.twin(guard)[attack]
    if ground.user.uid != 0 and ATTACKS[attack].by_root is not None:
        assert ATTACKS[attack].by_root == said
        pytest.skip("the kernel itself keeps this from all but root")
    if (reason := NOT_HERE.get(attack, {}).get(said)) is not None:
        pytest.skip(reason)
    assert said.startswith("ok"), said


# Ways an attack may end without its guard on machines where there is nothing to attack.
NOT_HERE = {
    "tcp_to_loopback_v6": {"KeyError('tcp6')": "this machine has no IPv6"},
    "route_to_the_world": {"ENETUNREACH": "this machine has no way out itself"},
    "route_to_the_world_v6": {"ENETUNREACH": "this machine has no IPv6 route itself"},
    "tcp_to_another_address_of_the_host": {"TypeError": "this machine has no other address"},
    "set_user_id_program_of_root": {"EPERM": "the workspace is on a file system without set-uid"},
}


def test_every_attack_is_judged(ground: Ground) -> None:
    """No attack is made whose end nobody looks at."""
    assert set(ATTACKS) == set(ground.moat)
    assert set(GUARDS) >= {attack.guard for attack in ATTACKS.values()}
