"""The stand-in as a process of its own: `python -m standin --key-file F --dir D`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path

from .faults import parse_fault
from .script import HELLO, parse_script
from .server import StandIn


def main() -> None:
    """Serve until SIGTERM or SIGINT, after one JSON line that says where."""
    asyncio.run(_serve(_parse_arguments()))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="standin", description=__doc__)
    # Never the key itself: arguments can be read by every user of the machine.
    key = parser.add_mutually_exclusive_group(required=True)
    key.add_argument("--key-file", type=Path, metavar="FILE", help="file with the real key")
    key.add_argument("--key-env", metavar="NAME", help="environment variable with the real key")
    parser.add_argument("--dir", type=Path, required=True, help="for certificates and records")
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    parser.add_argument("--script", type=Path, metavar="FILE", help="JSON list of turns")
    parser.add_argument("--fault", type=parse_fault, help="status=N, cut, stall or silence")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds after each piece of text")
    parser.add_argument("--no-websocket", action="store_true", help="answer upgrades with 426")
    parser.add_argument("--echo-authorization", action="store_true", help="repeat it in answers")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    standin = StandIn(
        arguments.dir,
        key=_read_key(arguments),
        script=parse_script(arguments.script.read_text()) if arguments.script else HELLO,
        port=arguments.port,
        websocket=not arguments.no_websocket,
        fault=arguments.fault,
        echo_authorization=arguments.echo_authorization,
        pace=arguments.pace,
    )
    async with standin:
        ready = {"port": standin.port, "ca_file": str(standin.ca_file)}
        print(json.dumps(ready), flush=True)
        await stopped.wait()


def _read_key(arguments: argparse.Namespace) -> str:
    text = arguments.key_file.read_text() if arguments.key_file else os.environ[arguments.key_env]
    return str(text).strip()


if __name__ == "__main__":
    main()
