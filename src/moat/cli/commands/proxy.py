"""`moat proxy`: the proxy alone, for a process that Moat did not start."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

from moat.cli.options import Parser, add_json, open_context
from moat.cli.output import say, show_error, show_json, warn
from moat.core.secret import Secret
from moat.errors import MoatError, UsageError
from moat.planning.alone import plan_alone
from moat.run.access import new_token, read_token
from moat.run.deciding import Question
from moat.run.environment import client_environment
from moat.run.listening import Place
from moat.run.plan import Plan
from moat.run.standalone import Serving, serve_alone

EPILOG = """\
examples:
  moat proxy --grant openai                    prints the variables to set, then serves
  eval "$(moat proxy --grant openai &)"        the same in a script; stop it: kill $MOAT_PROXY_PID
  moat proxy --listen 127.0.0.1:8080 --allow-host @npm --json
  moat proxy --policy ci-network.yaml --token-file ~/.config/ci-token
"""


def main(arguments: list[str]) -> int:
    """Serve until it is stopped."""
    args = _parser().parse_args(arguments)
    place = Place.parse(args.listen)
    context = open_context()
    token = _token(args, place)
    plan, placeholders = plan_alone(
        context,
        command=("moat", "proxy", *arguments),
        grants=args.grant,
        allow=tuple(args.allow_host),
        policy=args.policy,
        name=args.name,
    )
    advice = serve_alone(
        plan,
        context.home,
        place,
        token,
        ready=partial(_tell, args, plan, placeholders, place, token),
        asked=partial(_tell_question, plan),
    )
    if advice is not None:
        show_error(MoatError(advice.message, hint=advice.hint))
    return 0


def _parser() -> Parser:
    parser = Parser(
        "proxy",
        "Serve a process that Moat did not start, such as a CI job or a container of one's own, "
        "with the proxy of a run: the same policy, credentials and trace. What the process is to "
        "have in its environment goes to stdout. Runs until it is stopped.",
        epilog=EPILOG,
    )
    several: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument(
        "--listen",
        default="127.0.0.1:0",
        metavar="ADDRESS:PORT",
        help="where (127.0.0.1, at a port that is free)",
    )
    parser.add_argument(
        "-g",
        "--grant",
        **several,
        metavar="NAME",
        help="put this credential into requests to its host; may be repeated",
    )
    parser.add_argument(
        "--allow-host",
        "--allow",
        **several,
        metavar="HOST[:PORT]",
        help="let a host be reached, *.DOMAIN, or a @GROUP of hosts; may be repeated",
    )
    parser.add_argument(
        "--policy",
        metavar="POLICY",
        help="what becomes of a request that no rule is about: strict, ask or permissive; or a "
        "file that says so and has rules, as below `network` in moat.yaml",
    )
    token = parser.add_mutually_exclusive_group()
    token.add_argument(
        "--token-file", metavar="FILE", help="the token clients must show, instead of a new one"
    )
    token.add_argument(
        "--no-token",
        action="store_true",
        help="serve every process of this machine; on loopback only",
    )
    parser.add_argument("-n", "--name", metavar="NAME", help="what to call it")
    add_json(parser)
    return parser


def _token(args: argparse.Namespace, place: Place) -> Secret | None:
    if not args.no_token:
        return read_token(Path(args.token_file)) if args.token_file else new_token()
    if not place.is_loopback:
        raise UsageError(
            f"--no-token: other machines can reach {place}, and would use your grants",
            hint="leave it out, or listen on 127.0.0.1",
        )
    return None


def _tell(
    args: argparse.Namespace,
    plan: Plan,
    placeholders: dict[str, str],
    place: Place,
    token: Secret | None,
    serving: Serving,
) -> None:
    """Say what a client must be told: data first, and no more of it is to come."""
    environment = client_environment(
        placeholders,
        bundle=str(serving.bundle),
        java_store=str(serving.java_store),
        host=f"[{serving.host}]" if ":" in serving.host else serving.host,
        port=serving.port,
        token=token.reveal() if token else None,
        policy=plan.policy,
    )
    at = Place(place.host, serving.port)
    if args.json:
        show_json(
            {
                "run": plan.run,
                "pid": os.getpid(),
                "listen": str(at),
                "ca": str(serving.bundle),
                "java_trust_store": str(serving.java_store),
                "environment": environment,
            }
        )
    else:
        for name, value in environment.items():
            print(f"export {name}={shlex.quote(value)}")
        print(f"MOAT_PROXY_PID={os.getpid()}")
    _end_stdout()
    say(f"the proxy of run {plan.run} listens at {at}; to stop it: Ctrl-C, or kill {os.getpid()}")
    say(f"its CA: {serving.bundle}; as Java has it: {serving.java_store}")
    say(f"what it is asked for: moat trace {plan.run}; to let a host be reached: moat allow HOST")
    if not place.is_loopback:
        warn("token and plain http cross the network in the clear, for whoever can listen there")
    if place.is_every_address:
        say(f"note: for other machines, write an address of this one in the place of {place.near}")
    if token is None:
        warn("without a token, every process and every user of this machine can use the grants")


def _end_stdout() -> None:
    """Let whoever reads to the end, as the shell does for $(…), have it now."""
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def _tell_question(plan: Plan, question: Question) -> None:
    say(
        f"asked: {question.method} {question.url}; "
        f"answer: moat approve {question.id} --run {plan.run}"
    )
