"""What a Python program may write about Moat, as a type checker sees it; it is not run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never, assert_type

from moat import api


async def follow(home: Path) -> int:
    """Every call with what goes into it, and every event there is."""
    plan: api.Plan = api.plan(
        ["npm", "test"],
        workspace=Path("project"),
        allow=["@npm"],
        env={"CI": "1"},
        limits={"memory": "2g"},
        terminal=(24, 80),
        home=home,
        tell=print,
    )
    async with api.start(plan, home=home) as run:
        await run.write(b"data")
        await run.end_input()
        await run.resize(30, 100)
        async for event in run.events():
            match event:
                case api.Started(run=name):
                    assert_type(name, str)
                case api.Output(stream="stderr", data=data):
                    assert_type(data, bytes)
                case api.Output():
                    pass
                case api.Skipped(bytes=count):
                    assert_type(count, int)
                case api.Question():
                    await run.answer(event, "allow", "once")
                case api.Withdrawn():
                    pass
                case api.Ended(code=code, error=error):
                    assert_type(code, int)
                    assert_type(error, api.MoatError | None)
                case _:
                    assert_never(event)
        assert_type(await run.stop(grace=1.0), api.RunRecord)
        assert_type(await run.kill(), api.RunRecord)
    async with api.attach("name", watch=True, home=home) as watched:
        await watched.signal(15)
        watched.detach()
        ended: api.Ended = await watched.wait()
    assert_type(api.runs(home=home), list[api.RunRecord])
    assert_type(api.receipt(run.id).duration, float | None)
    return ended.code
