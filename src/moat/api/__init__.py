"""Moat for Python programs: the same runs as the command line's, planned, started and looked after.

    import asyncio
    from moat import api

    async def main() -> None:
        plan = api.plan(["npm", "test"], workspace="~/src/project", allow=["@npm"])
        async with api.start(plan) as run:
            async for event in run.events():
                if isinstance(event, api.Output):
                    print(event.data.decode(errors="replace"), end="")
        print((await run.wait()).code, run.receipt().summary.destinations)

    asyncio.run(main())

Everything raises `MoatError`, which says what happened, and in `hint` what to do about it.
"""

from moat.api.events import Ended, Event, Output, Question, Skipped, Started, Withdrawn
from moat.api.live import Run
from moat.api.plans import plan
from moat.api.runs import attach, find, kill, receipt, runs, start, stop
from moat.errors import MoatError
from moat.run.plan import Plan
from moat.run.receipt import Receipt
from moat.run.record import RunRecord

__all__ = [
    "Ended",
    "Event",
    "MoatError",
    "Output",
    "Plan",
    "Question",
    "Receipt",
    "Run",
    "RunRecord",
    "Skipped",
    "Started",
    "Withdrawn",
    "attach",
    "find",
    "kill",
    "plan",
    "receipt",
    "runs",
    "start",
    "stop",
]
