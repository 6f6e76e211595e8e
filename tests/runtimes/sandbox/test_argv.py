"""The argument list of bubblewrap, whole: every line that changes here changes the boundary."""

from __future__ import annotations

import subprocess
from pathlib import Path

from moat.core.limits import Limits
from moat.runtimes.interface import BoxSpec, Mount
from moat.runtimes.sandbox.argv import (
    ETC_OF_HOST,
    ETC_OF_JAVA,
    MASKED,
    Descriptors,
    HostLayout,
    box_command,
    box_start,
    bwrap_arguments,
)

SPEC = BoxSpec(
    workspace=Path("/home/alice/project"),
    command=("codex", "exec"),
    environment={"PATH": "/usr/bin", "HOME": "/home/agent", "LD_PRELOAD": "/workspace/evil.so"},
    mounts=(
        Mount(Path("/home/alice/.moat/tools/codex-cli/1.2.3"), "/opt/moat/codex-cli"),
        Mount(Path("/home/alice/.moat/runs/r/stage/codex-init"), "/moat/codex-init"),
        Mount(Path("/home/alice/.moat/codex/sessions/p"), "/home/agent/.codex/sessions", True),
        Mount(Path("/home/alice/data"), "/data", judged=True),
        Mount(Path("/home/alice/cache"), "/cache", writable=True, judged=True),
    ),
    etc=Path("/home/alice/.moat/runs/r/stage/etc"),
    terminal=None,
    limits=Limits(disk=1 << 20),
)
LAYOUT = HostLayout(
    directories=("/usr", "/lib32"),
    links=(("/bin", "usr/bin"),),
    masked=("/proc/keys",),
    java=("/etc/java-17-openjdk",),
)
STAGED = "/home/alice/.moat/runs/r/stage/etc"
HOST_FILES = "\n".join(f"--ro-bind-try /etc/{name} /etc/{name}" for name in ETC_OF_HOST)
JAVA = "/etc/java-17-openjdk"
BUNDLE, STORE = "ssl/certs/ca-certificates.crt", "ssl/certs/java/cacerts"

GOLDEN = f"""\
--unshare-user
--unshare-pid
--unshare-net
--unshare-ipc
--unshare-uts
--unshare-cgroup
--disable-userns
--cap-drop ALL
--uid 1000
--gid 1000
--hostname moat
--die-with-parent
--seccomp 7
--info-fd 5
--clearenv
--setenv HOME /home/agent
--setenv PATH /usr/bin
--ro-bind /usr /usr
--ro-bind /lib32 /lib32
--symlink usr/bin /bin
--proc /proc
--perms 0555
--tmpfs /proc/1
--remount-ro /proc/1
--ro-bind /dev/null /proc/keys
--dev /dev
--perms 1777
--size 1048576
--tmpfs /dev/shm
--remount-ro /dev
--perms 1777
--size 1048576
--tmpfs /tmp
--perms 1777
--size 1048576
--tmpfs /var/tmp
--size 1048576
--tmpfs /run
--size 1048576
--tmpfs /home
--perms 0700
--dir /home/agent
--perms 0755
--dir /etc
--perms 0755
--dir {JAVA}
--perms 0755
--dir /etc/pki
--perms 0755
--dir /etc/pki/ca-trust
--perms 0755
--dir /etc/pki/ca-trust/extracted
--perms 0755
--dir /etc/pki/ca-trust/extracted/pem
--perms 0755
--dir /etc/pki/java
--perms 0755
--dir /etc/pki/tls
--perms 0755
--dir /etc/pki/tls/certs
--perms 0755
--dir /etc/ssl
--perms 0755
--dir /etc/ssl/certs
--perms 0755
--dir /etc/ssl/certs/java
--perms 0755
--dir /home
--perms 0700
--dir /home/agent
--perms 0700
--dir /home/agent/.codex
--perms 0755
--dir /moat
--perms 0755
--dir /opt
--perms 0755
--dir /opt/moat
{HOST_FILES}
--ro-bind-try {JAVA}/logging.properties {JAVA}/logging.properties
--ro-bind-try {JAVA}/net.properties {JAVA}/net.properties
--ro-bind-try {JAVA}/security {JAVA}/security
--ro-bind {STAGED}/group /etc/group
--ro-bind {STAGED}/hosts /etc/hosts
--ro-bind {STAGED}/nsswitch.conf /etc/nsswitch.conf
--ro-bind {STAGED}/passwd /etc/passwd
--ro-bind {STAGED}/resolv.conf /etc/resolv.conf
--ro-bind {STAGED}/{BUNDLE} /etc/{BUNDLE}
--ro-bind {STAGED}/{STORE} /etc/{STORE}
--symlink /etc/{BUNDLE} /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem
--symlink /etc/{STORE} /etc/pki/java/cacerts
--symlink /etc/{BUNDLE} /etc/pki/tls/cert.pem
--symlink /etc/{BUNDLE} /etc/pki/tls/certs/ca-bundle.crt
--symlink /etc/{BUNDLE} /etc/ssl/ca-bundle.pem
--symlink /etc/{BUNDLE} /etc/ssl/cert.pem
--symlink /etc/{BUNDLE} /etc/ssl/certs/9b77e1f5.0
--symlink /etc/{BUNDLE} /etc/ssl/certs/ca-bundle.crt
--ro-bind /usr/lib/moat/init.sh /moat/init
--perms 0444
--ro-bind-data 8 /moat/start
--ro-bind /home/alice/.moat/tools/codex-cli/1.2.3 /opt/moat/codex-cli
--ro-bind /home/alice/.moat/runs/r/stage/codex-init /moat/codex-init
--bind /home/alice/.moat/codex/sessions/p /home/agent/.codex/sessions
--ro-bind-fd 10 /data
--bind-fd 11 /cache
--bind-fd 9 /workspace
--remount-ro /proc
--remount-ro /
--chdir /workspace
"""


def arguments(spec: BoxSpec = SPEC) -> list[str]:
    numbers = Descriptors(info=5, seccomp=7, start=8, workspace=9, sources=(10, 11))
    return bwrap_arguments(spec, LAYOUT, numbers, init="/usr/lib/moat/init.sh")


def test_the_whole_list() -> None:
    """What a box is made of, word for word."""
    assert GOLDEN.split() == arguments()


def test_of_the_hosts_etc_only_this_is_seen() -> None:
    """None of these files holds a secret, or says who uses the machine."""
    assert set(ETC_OF_HOST) == {
        "alternatives", "bash.bashrc", "debian_version", "gai.conf", "inputrc", "ld.so.cache",
        "ld.so.conf", "ld.so.conf.d", "localtime", "lsb-release", "magic", "magic.mime",
        "mime.types", "os-release", "perl", "protocols", "services", "ssl/openssl.cnf", "terminfo",
        "timezone",
    }  # fmt: skip
    assert ("logging.properties", "net.properties", "security") == ETC_OF_JAVA
    assert all(path.startswith("/proc/") for path in MASKED)


def test_a_terminal_changes_nothing() -> None:
    """The box has the same walls with and without one."""
    assert arguments() == arguments(SPEC._replace(terminal=(24, 80)))


def test_nothing_is_mounted_after_the_workspace() -> None:
    """Beneath a directory the agent writes to, bubblewrap before 0.12 follows its links."""
    rest = arguments()[arguments().index("/workspace") + 1 :]
    assert ["--remount-ro", "--remount-ro", "--chdir"] == rest[::2]


def test_words_of_the_person_are_values() -> None:
    """A mount that looks like an option is still one word of its own, and so is a variable."""
    mount = Mount(Path("/a --bind / /b"), "/t --share-net")
    found = arguments(SPEC._replace(mounts=(mount,)))
    assert ["--ro-bind", "/a --bind / /b"] == found[found.index("/t --share-net") - 2 :][:2]
    odd = "it's\n$(touch x) `y` \\ "
    environment = {"A": "--share-net", "B": odd}
    start = box_start(SPEC._replace(environment=environment, command=("--", odd)))
    script = start + b'printf "%s|" "$A" "$B" "$@"'
    said = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout
    assert f"--share-net|{odd}|--|{odd}|".encode() == said


def test_the_command_stands_behind_the_gate() -> None:
    """The first program is Moat's own."""
    assert ["/bin/sh", "/moat/init"] == box_command()
    assert b"\nset -- codex exec\n" in box_start(SPEC)
