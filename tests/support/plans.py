"""What runs are planned from: a plain command, and a task for Codex."""

from __future__ import annotations

import datetime
from pathlib import Path

from moat.config.settings import Upstream
from moat.providers.agent import AgentWanted
from moat.providers.codex import PROVIDER
from moat.run.plan import InstalledTool, Wanted
from moat.vault.credential import Facts

CODEX = InstalledTool("codex-cli", "0.169.0", Path("/m/tools/codex-cli/0.169.0"), ("bin", "rg"))
OPENAI = Facts("openai", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
PLAIN = Wanted(
    workspace=Path("/src/project"),
    command=("npm", "test"),
    upstream=Upstream(),
    environ={},
    terminal=None,
    command_line="moat run",
)
AGENT = PLAIN._replace(
    command=(),
    providers=(PROVIDER,),
    facts={"openai": OPENAI},
    agent=PROVIDER.set_up(AgentWanted("/workspace", prompt="do it")),
    agent_name="codex",
    tools=(CODEX,),
    command_line="moat codex",
)
