"""Asks, from a box, for all the ways in which a server can repeat a key; run in the box.

Takes paths as arguments. Prints a JSON object: for each host and path, all that came back, in
base64, or the name of what went wrong.
"""

import base64
import json
import os
import socket
import ssl
import sys

CA = os.environ["SSL_CERT_FILE"]
OWN = "sk-fake-0123456789abcdef0123456789abcdef"
PLAIN = (
    "Accept-Encoding: gzip, deflate, br, zstd, dcb, *;q=0.1",
    "Range: bytes=0-8",
    "Connection: close",
)
UPGRADE = (
    "Connection: Upgrade, close",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
    "Sec-WebSocket-Extensions: permessage-deflate",
)


def connect(host):
    wire = socket.create_connection(("127.0.0.1", 3128), timeout=20)
    wire.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    answer = wire.recv(1 << 16)
    assert answer.split()[1] == b"200", answer
    context = ssl.create_default_context(cafile=CA)
    return context.wrap_socket(wire, server_hostname=host)


def ask(wire, host, path):
    fields = UPGRADE if path in ("/websocket", "/deflated") else PLAIN
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {OWN}", *fields]
    wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())


def rest(wire):
    """All of it; what came before a cut, too."""
    data = b""
    try:
        while more := wire.recv(1 << 16):
            data += more
    except OSError:
        pass
    return data


def play(host, path):
    with connect(host) as wire:
        ask(wire, host, path)
        data = b""
        if path == "/events":  # the server waits with the second until the first has come
            while data.count(b"\r\n") < 5 and (more := wire.recv(1 << 16)):
                data += more
            with connect(host) as other:
                ask(other, host, "/go")
                rest(other)
        return data + rest(wire)


found = {}
for host in ("api.openai.com", "other.example"):
    for path in sys.argv[1:]:
        try:
            found[f"{host} {path}"] = base64.b64encode(play(host, path)).decode()
        except Exception as error:
            found[f"{host} {path}"] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
