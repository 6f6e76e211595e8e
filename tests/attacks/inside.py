"""What a hostile agent tries, from inside a box: run there by the box's own python3.

Takes a JSON object of what to go for and a list of attacks, or none for all; prints a JSON object
of how each ended: "ok" and more for one that succeeded, else what stood in its way.
"""
# ruff: noqa: PTH101, PTH116, PTH123, PTH208

import ctypes
import errno
import json
import os
import signal
import socket
import stat
import struct
import sys

P = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
ATTACKS = {}


def attack(function):
    ATTACKS[function.__name__] = function
    return function


def called(result):
    return "ok" if result != -1 else errno.errorcode[ctypes.get_errno()]


# The network.


def connected(family, address):
    with socket.socket(family) as client:
        client.settimeout(3)
        client.connect(address)
    return "ok"


def answered(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        client.connect(address)
        client.send(b"?")
        return "ok" if client.recv(10) else "nothing"


@attack
def tcp_to_loopback():
    return connected(socket.AF_INET, ("127.0.0.1", P["tcp"]))


@attack
def tcp_to_loopback_v6():
    return connected(socket.AF_INET6, ("::1", P["tcp6"]))


@attack
def tcp_to_another_address_of_the_host():
    return connected(socket.AF_INET, (P["address"], P["tcp"]))


@attack
def udp_to_loopback():
    return answered(socket.AF_INET, ("127.0.0.1", P["udp"]))


@attack
def udp_to_another_address_of_the_host():
    return answered(socket.AF_INET, (P["address"], P["udp"]))


def routed(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.connect((address, 53))
        ours = client.getsockname()[0]
    # What is delivered here comes from where it goes to, or from loopback's own.
    return "delivered here" if ours in (address, "fd4d:6f61:7400:1::1") else "ok"


@attack
def route_to_the_world():
    return routed(socket.AF_INET, "192.0.2.1")


@attack
def route_to_the_world_v6():
    return routed(socket.AF_INET6, "2001:db8::1")


@attack
def name_of_the_host():
    return "ok" if socket.gethostname() == P["hostname"] else socket.gethostname()


@attack
def interfaces_of_the_host():
    names = {name for _, name in socket.if_nameindex()} - {"lo"}
    return "ok: " + " ".join(names) if names else "lo"


@attack
def abstract_socket():
    return connected(socket.AF_UNIX, "\0" + P["abstract"])


@attack
def unix_socket_in_tmp():
    return connected(socket.AF_UNIX, P["unix_tmp"])


@attack
def unix_socket_in_run():
    return connected(socket.AF_UNIX, P["unix_run"])


@attack
def unix_socket_in_home():
    return connected(socket.AF_UNIX, P["unix_home"])


# Files of the host.


def read(path):
    with open(path, "rb") as file:
        return "ok" if file.read(1) else "empty"


def written(path, flags=os.O_WRONLY, mode=0o600):
    os.close(os.open(path, flags, mode))
    return "ok"


@attack
def settings_of_moat():
    return read(P["config"])


@attack
def key_of_the_ca():
    return read(P["ca_key"])


@attack
def key_of_the_vault():
    return read(P["vault_key"])


@attack
def credential_in_the_vault():
    return read(P["credential"])


@attack
def ssh_key_in_home():
    return read(P["ssh_key"])


@attack
def home_of_root():
    return "ok" if os.listdir("/root") is not None else ""


@attack
def shadow():
    return read("/etc/shadow")


@attack
def beside_the_workspace():
    return read("../beside.txt")


@attack
def above_the_workspace_by_descriptor():
    up = os.open("..", os.O_RDONLY)
    return "ok" if "beside.txt" in os.listdir(up) else "not there"


@attack
def symlink_out_of_the_workspace():
    return read("escape")


@attack
def hard_link_into_the_workspace():
    os.link(P["ssh_key"], "linked")
    return "ok"


@attack
def write_to_usr():
    return written("/usr", os.O_TMPFILE | os.O_RDWR)


@attack
def write_to_etc():
    return written("/etc/planted", os.O_CREAT | os.O_WRONLY)


@attack
def write_to_the_root():
    return written("/planted", os.O_CREAT | os.O_WRONLY)


@attack
def change_the_init():
    return written("/moat/init")


@attack
def core_pattern():
    return written("/proc/sys/kernel/core_pattern")


@attack
def sys_of_the_host():
    return "ok" if os.listdir("/sys") else "empty"


@attack
def devices_of_the_host():
    harmless = "console core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
    found = set(os.listdir("/dev")) - set(harmless.split())
    return "ok: " + " ".join(sorted(found)) if found else "none"


@attack
def take_a_device_away():
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        path = "/dev/" + name
        try:
            os.chmod(path, stat.S_IMODE(os.stat(path).st_mode))
        except OSError as error:
            last = errno.errorcode[error.errno]
        else:
            return "ok: " + name
    return last


@attack
def change_bubblewrap():
    os.chmod("/proc/1/exe", stat.S_IMODE(os.stat("/proc/1/exe").st_mode))
    return "ok"


@attack
def set_user_id_program():
    written("setuid", os.O_CREAT | os.O_WRONLY)
    os.chmod("setuid", 0o4755)
    return "ok"


@attack
def set_group_id_program():
    written("setgid", os.O_CREAT | os.O_WRONLY)
    os.chmod("setgid", 0o2755)
    return "ok"


@attack
def set_user_id_from_the_start():
    written("setuid-new", os.O_CREAT | os.O_WRONLY, 0o4755)
    return "ok" if os.stat("setuid-new").st_mode & 0o4000 else "dropped"


# Other processes, and what they share.


def holds(path, needle):
    with open(path, "rb") as file:
        return "ok" if needle.encode() in file.read() else "not in it"


@attack
def processes_of_the_host():
    token = P["token_backwards"][::-1]  # or it would find itself
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if holds(f"/proc/{name}/cmdline", token) == "ok":
                return "ok"
        except OSError:
            pass
    return "none"


@attack
def signal_to_the_host():
    os.kill(P["pid"], 0)
    return "ok"


@attack
def environment_of_the_first_process():
    return holds("/proc/1/environ", P["marker"])


@attack
def arguments_of_the_first_process():
    return holds("/proc/1/cmdline", P["place"])


@attack
def own_environment():
    found = [name for name, value in os.environ.items() if P["marker"] in value]
    return "ok: " + " ".join(found) if found else "not in it"


@attack
def open_descriptors():
    for name in os.listdir("/proc/self/fd"):
        try:
            content = os.pread(int(name), 1000, 0)
        except OSError:
            continue
        if P["marker"].encode() in content:
            return "ok: " + name
    return "none"


@attack
def names_of_keys():
    with open("/proc/keys") as keys:
        return "ok: " + keys.read()


@attack
def system_v_memory():
    segment = libc.shmget(P["shm"], 0, 0)
    return called(segment)


@attack
def posix_memory():
    return read("/dev/shm/" + P["posix_shm"])


# More rights.


def status(name):
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith(name + ":"))


@attack
def capabilities():
    found = [
        name for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb") if int(status(name), 16)
    ]
    return "ok: " + " ".join(found) if found else "none"


@attack
def new_privileges():
    return "ok" if status("NoNewPrivs") == "0" else "forbidden"


@attack
def no_filter():
    return "ok" if status("Seccomp") == "0" else "filtered"


@attack
def nested_user_namespace():
    return called(libc.unshare(0x10000000))


@attack
def remount_writable():
    return called(libc.mount(None, b"/usr", None, 32 | 4096 | 2 | 4, None))


@attack
def unmount():
    return called(libc.umount2(b"/usr", 2))


@attack
def set_user_id_program_of_root():
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        os.execv("./id-of-root", ["id", "-u"])
    os.close(writing)
    os.waitpid(child, 0)
    said = os.read(reading, 100).decode().strip()
    return "ok" if said == "0" else said


@attack
def new_interface():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        # RTM_NEWLINK, a request to be acknowledged: loopback down.
        message = struct.pack("=LHHLL", 32, 16, 5, 1, 0) + struct.pack("=BxHiII", 0, 0, 1, 0, 1)
        netlink.send(message)
        code = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    return "ok" if code == 0 else errno.errorcode[-code]


def outcome(function):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            said = function()
        except TimeoutError:
            said = "timeout"
        except OSError as error:
            said = errno.errorcode.get(error.errno, str(error))
        except BaseException as error:
            said = repr(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    _, ended = os.waitpid(child, 0)
    if os.WIFSIGNALED(ended):
        return signal.Signals(os.WTERMSIG(ended)).name
    with open(reading, "rb") as said:
        return said.read().decode()


print(json.dumps({name: outcome(ATTACKS[name]) for name in sys.argv[2:] or ATTACKS}))
