"""The argument list of bubblewrap. It *is* the isolation: every line here is a guard.

Pure: values in, strings out. A change here is a change of the security boundary; the result is
held by a golden test and by attacks from inside a box.
"""

from __future__ import annotations

import os
import shlex
from pathlib import PurePosixPath
from typing import NamedTuple

from moat.pki.pack import TRUST_LINKS
from moat.runtimes.etc import ETC_MADE
from moat.runtimes.interface import HOME, UID, WORKSPACE, BoxSpec

# Host files a program needs to run at all; none is secret, those that are missing are left out.
ETC_OF_HOST = (
    "alternatives",
    "bash.bashrc",
    "debian_version",
    "gai.conf",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "lsb-release",
    "magic",
    "magic.mime",
    "mime.types",
    "os-release",
    "perl",
    "protocols",
    "services",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
)

# Without these of /etc/java-VERSION-openjdk, Debian's Java has no TLS; passwords to its
# management may lie beside them.
ETC_OF_JAVA = ("logging.properties", "net.properties", "security")

# Files of /proc that tell of the whole host: the names of the person's keys, to everybody;
# physical memory and the kernel's tables, to root, who owns them.
MASKED = (
    "/proc/keys",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/slabinfo",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
)


# Moat's own to set, so that nothing in them is the project's.
_FIRST = ("HOME", "PATH")


class HostLayout(NamedTuple):
    """How the host's system directories lie.

    `directories` are mounted read-only as they are; `links` are (path, target) pairs such as
    ("/bin", "usr/bin"), made anew in the box; `masked` are those of MASKED it has; `java` are the
    directories of /etc with the settings of a Java each.
    """

    directories: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    masked: tuple[str, ...]
    java: tuple[str, ...] = ()


class Descriptors(NamedTuple):
    """The numbers under which bubblewrap finds its descriptors; `start` is that of `box_start`,
    `sources` those of the mounts that were judged, in their order."""

    info: int
    seccomp: int
    start: int
    workspace: int
    sources: tuple[int, ...] = ()


def bwrap_arguments(
    spec: BoxSpec, layout: HostLayout, descriptors: Descriptors, *, init: str
) -> list[str]:
    """The options of bubblewrap, without its name and without the command."""
    return [
        *_isolation(descriptors),
        *_first_environment(spec),
        *_system(layout),
        *_proc(layout),
        *_private_places(spec),
        *_parents(spec, layout),
        *_etc(spec, layout),
        *_mounts(spec, descriptors, init),
        # Nothing in the box can write outside /workspace, /tmp, /var/tmp, /run, /home, /dev/shm.
        # /proc is read-only too: as uid 0 of the host, /proc/sys and /proc/sysrq-trigger would
        # be writable by file permissions alone, core_pattern among them.
        *("--remount-ro", "/proc", "--remount-ro", "/"),
        *("--chdir", WORKSPACE),
    ]


def _isolation(descriptors: Descriptors) -> list[str]:
    return [
        "--unshare-user",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup",
        "--disable-userns",
        *("--cap-drop", "ALL"),
        *("--uid", str(UID), "--gid", str(UID)),
        *("--hostname", "moat"),
        "--die-with-parent",
        *("--seccomp", str(descriptors.seccomp)),
        *("--info-fd", str(descriptors.info)),
    ]


def _first_environment(spec: BoxSpec) -> list[str]:
    """What the first program of the box needs, and no more: a variable such as LD_PRELOAD would
    have something of the workspace run before the gate. The rest comes behind it."""
    arguments = ["--clearenv"]
    for name in _FIRST:
        if name in spec.environment:
            arguments += ["--setenv", name, spec.environment[name]]
    return arguments


def _system(layout: HostLayout) -> list[str]:
    arguments: list[str] = []
    for directory in layout.directories:
        arguments += ["--ro-bind", directory, directory]
    for path, target in layout.links:
        arguments += ["--symlink", target, path]
    return arguments


def _proc(layout: HostLayout) -> list[str]:
    arguments = ["--proc", "/proc"]
    # The box's first process is bubblewrap itself, and /proc/1/exe is the host's file, by the
    # host's mount: whoever owns it, and that is the agent's user, may change its mode.
    arguments += ["--perms", "0555", "--tmpfs", "/proc/1", "--remount-ro", "/proc/1"]
    for path in layout.masked:
        arguments += ["--ro-bind", "/dev/null", path]  # no device there: it cannot be opened
    return arguments


def _private_places(spec: BoxSpec) -> list[str]:
    disk = spec.limits.disk
    size = ["--size", str(disk)] if disk is not None else []
    return [
        *("--dev", "/dev"),
        *("--perms", "1777", *size, "--tmpfs", "/dev/shm"),  # noqa: S108  # the box's own
        *("--remount-ro", "/dev"),  # it is memory, too, and its size nobody's to say
        *("--perms", "1777", *size, "--tmpfs", "/tmp"),  # noqa: S108
        *("--perms", "1777", *size, "--tmpfs", "/var/tmp"),  # noqa: S108
        *(*size, "--tmpfs", "/run"),
        *(*size, "--tmpfs", "/home"),
        *("--perms", "0700", "--dir", HOME),
    ]


def _parents(spec: BoxSpec, layout: HostLayout) -> list[str]:
    """The directories that files are put in: bubblewrap would make them 0700."""
    targets = ["/moat/init", *(mount.target for mount in spec.mounts)]
    targets += [f"/etc/{name}" for name in (*ETC_MADE, *TRUST_LINKS)]
    targets += [f"{directory}/security" for directory in layout.java]
    parents = {str(parent) for target in targets for parent in PurePosixPath(target).parents}
    arguments: list[str] = []
    for parent in sorted(parents - {"/"}):
        mode = "0700" if PurePosixPath(parent).is_relative_to(HOME) else "0755"
        arguments += ["--perms", mode, "--dir", parent]
    return arguments


def _etc(spec: BoxSpec, layout: HostLayout) -> list[str]:
    arguments: list[str] = []
    settings = (f"{directory}/{name}" for directory in layout.java for name in ETC_OF_JAVA)
    for path in (*(f"/etc/{name}" for name in ETC_OF_HOST), *settings):
        arguments += ["--ro-bind-try", path, path]
    for name in ETC_MADE:
        arguments += ["--ro-bind", str(spec.etc / name), f"/etc/{name}"]
    for name, target in TRUST_LINKS.items():
        arguments += ["--symlink", f"/etc/{target}", f"/etc/{name}"]
    return arguments


def _mounts(spec: BoxSpec, descriptors: Descriptors, init: str) -> list[str]:
    arguments = ["--ro-bind", init, "/moat/init"]
    arguments += ["--perms", "0444", "--ro-bind-data", str(descriptors.start), "/moat/start"]
    sources = iter(descriptors.sources)
    for mount in spec.mounts:
        how = "--bind" if mount.writable else "--ro-bind"
        if mount.judged:
            arguments += [how + "-fd", str(next(sources)), mount.target]
        else:
            arguments += [how, str(mount.source), mount.target]
    # Last, and nothing beneath it: bubblewrap before 0.12 follows links a hostile workspace
    # has planted when it mounts below it (CVE-2026-87766). See `protect`.
    return [*arguments, "--bind-fd", str(descriptors.workspace), WORKSPACE]


def box_start(spec: BoxSpec) -> bytes:
    """What the first program of the box reads behind the gate: the rest of the environment, and the
    command. In a file, since what is on a command line every user of the host can read."""
    lines = [
        f"export {name}={shlex.quote(text)}" for name, text in sorted(spec.environment.items())
    ]
    lines.append(f"set -- {shlex.join(spec.command)}")
    return b"".join(os.fsencode(line) + b"\n" for line in lines)


def box_command() -> list[str]:
    """The first program of the box."""
    return ["/bin/sh", "/moat/init"]
