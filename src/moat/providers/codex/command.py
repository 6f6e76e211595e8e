"""The command line of the Codex CLI, as its `--help` has it.

How far Codex may go is settled in config.toml and not here: `codex` and `codex exec` take
different options, and they change. Whatever a person wrote stands after `--`, so that it is
never taken for an option or a subcommand.
"""

from __future__ import annotations

from moat.providers.agent import AgentWanted

LAST = "last"


def codex_command(wanted: AgentWanted) -> tuple[str, ...]:
    """`codex exec` for a task and `codex` for a person, either with an earlier session or anew."""
    if wanted.prompt is not None:
        return ("codex", "exec", *_task(wanted.resume), wanted.prompt)
    words = (wanted.opening,) if wanted.opening else ()
    if wanted.resume is None:
        return ("codex", "--", *words) if words else ("codex",)
    if wanted.resume == LAST:
        # Without the second option, a session begun with a task would not count as the last.
        last = ("codex", "resume", "--last", "--include-non-interactive")
        return (*last, "--", *words) if words else last
    return ("codex", "resume", "--", wanted.resume, *words)


def _task(resume: str | None) -> tuple[str, ...]:
    # The workspace may be no git repository; the box is what Codex asks one for.
    if resume is None:
        return ("--skip-git-repo-check", "--")
    if resume == LAST:
        return ("resume", "--skip-git-repo-check", "--last", "--")
    return ("resume", "--skip-git-repo-check", "--", resume)
