"""The stand-in as its own process: it says where it is, and goes when it is told to."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from pathlib import Path

import aiohttp

import standin
from demo.talk import KEY, in_loop

HOME = Path(standin.__file__).parent.parent


@in_loop
async def test_it_serves_until_sigterm(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(f"{KEY}\n")
    arguments = ["--key-file", str(key_file), "--dir", str(tmp_path / "made"), "--no-websocket"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "standin", *arguments), cwd=HOME, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        context = ssl.create_default_context(cafile=ready["ca_file"])
        async with aiohttp.ClientSession() as session:
            answer = await session.get(
                f"https://127.0.0.1:{ready['port']}/v1/models",
                ssl=context,
                server_hostname="api.openai.com",
                headers={"Authorization": f"Bearer {KEY}", "Host": "api.openai.com"},
            )
            assert answer.status == 200
            await answer.read()
    finally:
        process.terminate()
        code = await process.wait()
    assert code == 0
    lines = (tmp_path / "made/seen.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == [200]
