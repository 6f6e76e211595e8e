"""What each key of moat.yaml is, in a sentence, for those who write one in an editor."""

from __future__ import annotations

TITLE = "moat.yaml"

HELP = {
    "": "What a project asks of Moat. Shown to the person, who must agree to it.",
    "name": "What runs of the project are called: small letters, digits and dashes.",
    "agent": "The agent that runs, such as codex.",
    "dependencies": "What is installed for runs: NAME, NAME@VERSION or KIND:NAME@VERSION.",
    "grants": "The credentials runs use, by the names `moat grant` knows, such as openai.",
    "env": "Environment variables of the box. No place for secrets: use grants.",
    "network": "What runs may reach.",
    "network.policy": "What no rule is about: strict refuses it, ask asks the person, permissive "
    "lets every public host through.",
    "network.rules": "Hosts runs may reach: example.com, localhost:8080, *.example.org, a group "
    "such as @npm, or deny and one of these. The first that is about a host decides.",
    "network.rules[].host": "The host, or the group of hosts.",
    "network.rules[].rules": "Requests to it, such as allow GET /repos/** or deny * /admin/**. The "
    "first that fits decides; what none fits is denied.",
    "mounts": "Files and directories of the host that runs see: SOURCE:TARGET, read-only, or "
    "SOURCE:TARGET:rw.",
    "mounts[].source": "A path on the host: absolute, beginning with ~/, or relative to the "
    "workspace.",
    "mounts[].target": "Where runs see it: an absolute path in the box.",
    "mounts[].mode": "ro: runs can read it. rw: runs can change it on the host.",
    "limits": "What runs may use up; none switches a limit off.",
    "limits.timeout": "How long a run may take, such as 90s, 30m or 2h.",
    "limits.memory": "Memory, such as 512m or 4g.",
    "limits.pids": "Processes and threads at a time.",
    "limits.cpus": "Processors kept busy, such as 2 or 0.5.",
    "limits.disk": "What /tmp, the home and the like may hold together, such as 2g.",
    "limits.files": "Files that one process may have open.",
    "guard": "What of the workspace runs may not change, as programs of the host obey it.",
    "guard.allow": "Files that runs may change all the same, such as .git/config.",
    "command": "What runs when nothing else is asked for, as a list of words.",
    "mcp": "MCP servers reached over http; their credentials are put in on the wire.",
    "mcp[].name": "What the agent calls the server.",
    "mcp[].url": "Where the server is; https if it takes a credential.",
    "mcp[].auth": "The credential of the server.",
    "mcp[].auth.grant": "The grant that holds the credential, such as mcp:linear.",
    "mcp[].auth.header": "The header the credential goes into. Authorization if left out.",
    "codex": "What only Codex knows.",
    "codex.mcp": "MCP servers that Codex starts in the box, by name.",
    "codex.mcp.*.command": "The program.",
    "codex.mcp.*.args": "Its arguments.",
    "codex.mcp.*.env": "Its environment variables. No place for secrets: use grant.",
    "codex.mcp.*.grant": "The grant whose placeholder it finds in its environment.",
    "codex.mcp.*.cwd": "Where in the box it starts. The workspace if left out.",
    "codex.sync_logs": "Whether sessions are kept, so that they can be resumed. true if left out.",
    "codex.model": "The model Codex uses.",
    "codex.config": "Further settings of Codex's config.toml.",
    "codex.write_mcp_json": "Whether the servers are also written to .mcp.json in the workspace.",
}
"""By the keys of `documented_keys`; the whole file is the empty one."""
