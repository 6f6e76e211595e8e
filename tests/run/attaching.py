"""A client of a run, as a process: CHANNEL RESULT TERMINAL STDIN (two descriptors, two flags).

How the run ended is written to RESULT as JSON.
"""

import json
import os
import signal
import socket
import sys

from moat.run.attach import attach

channel, result, terminal, stdin = map(int, sys.argv[1:])
ended = attach(
    socket.socket(fileno=channel),
    terminal=bool(terminal),
    stdin=bool(stdin),
    unblock=[signal.SIGINT],
)
error = None if ended.error is None else [type(ended.error).__name__, ended.error.message]
os.write(result, json.dumps([ended.code, error]).encode())
