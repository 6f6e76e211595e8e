"""A client of a run, as a process: CHANNEL RESULT TERMINAL STDIN (two descriptors, two flags).

How the run ended is written to RESULT as JSON. What is allowed for good is noted in the file
STORE of the environment; without one it cannot be.
"""

import json
import os
import signal
import socket
import sys

from moat.errors import ConfigError
from moat.run.attach import attach
from moat.run.own_terminal import Asked
from moat.run.part import Part


def store(host):
    if "STORE" not in os.environ:
        raise ConfigError("config.yaml:1:1: is not yours")
    with open(os.environ["STORE"], "a") as file:  # noqa: PTH123
        file.write(f"{host}\n")


if "ASKED" not in os.environ:  # the terminal is not asked what it can
    Asked.ask = lambda self: ({"row": 1, "column": 1}, b"")
channel, result, terminal, stdin = map(int, sys.argv[1:])
ended = attach(
    socket.socket(fileno=channel),
    Part(terminal=bool(terminal), stdin=bool(stdin), first=True),
    unblock=[signal.SIGINT],
    store=store,
)
error = None if ended.error is None else [type(ended.error).__name__, ended.error.message]
os.write(result, json.dumps([ended.code, error]).encode())
