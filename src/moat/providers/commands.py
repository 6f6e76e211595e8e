"""The commands that agents bring along: one line about each, and the module whose
`main(arguments)` it is. `moat --help` reads this and nothing else of a provider.
"""

AGENT_COMMANDS = {
    "codex": ("run the OpenAI Codex CLI in a box on a workspace", "moat.cli.commands.codex"),
}
