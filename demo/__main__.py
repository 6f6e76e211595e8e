"""The main job, shown: `make demo`. Real Codex, real sandbox, real TLS; only the API is a
stand-in, on this machine, with a key made up a moment ago. Ends non-zero if a claim is not so."""

from __future__ import annotations

import sys
import time

from moat.errors import MoatError
from moat.tools.catalogue import CODEX_CLI
from moat.tools.install import ensure_tool
from moat.tools.progress import progress_on
from proof import check_search, check_seen, check_trace, demand
from stage import ELSEWHERE, FOUND, POEM, ROOT, TASK, DemoFailed, Stage, set_the_stage


def headline(text: str) -> None:
    """What comes next, in one line."""
    print(f"\n── {text}", flush=True)


def show(stage: Stage) -> None:
    """The story, one claim after the other."""
    headline("A stand-in for the OpenAI API runs on this machine; it answers 401 to any other key.")
    print(f"   its key, made up just now: {stage.key}")

    headline("moat grant openai: the key is validated with the API, then stored sealed.")
    demand(stage.moat("grant", "openai", OPENAI_API_KEY=stage.key).returncode == 0, "it is granted")

    headline(f"moat codex -p …: the real Codex CLI {CODEX_CLI.version} works in the box, live:")
    print(f"   its task: {TASK}\n", flush=True)
    demand(stage.moat("codex", "-p", TASK).returncode == 0, "Codex ends with exit code 0")

    headline(f"The file Codex wrote in the workspace, {POEM}:")
    poem = stage.workspace / POEM
    demand(poem.exists(), f"Codex wrote {POEM}")
    print("   " + poem.read_text().rstrip().replace("\n", "\n   "))

    headline("moat trace: every request of the run, its verdict, and the grant it got on its way.")
    stage.moat("trace")
    print(f"   Nothing in the run needs {ELSEWHERE}, so it was refused, by a readable answer.")
    requests = check_trace(stage.moat_json("trace"))

    headline("The proof: what a search for keys, run by Codex inside its box, could find.")
    counts = check_search((stage.workspace / FOUND).read_text(), stage.key)
    print(f"   the placeholder, in {counts['placeholder']} places: environments, files, arguments")
    print(
        f"   or memories of {counts['memories']} processes. The real key, or a part of it: nowhere."
    )

    headline("And what the stand-in saw.")
    seen = check_seen(stage.seen(), stage.key)
    print(f"   {seen} requests (1 of the grant, {seen - 1} of Codex; the trace holds {requests}),")
    print("   every one with the real key in Authorization, and nothing else.")
    demand(seen - 1 == requests, "the trace holds exactly what the stand-in saw")

    headline("Now with your own key and project:")
    print("   export PATH=" + str(ROOT / ".venv" / "bin") + ":$PATH")
    print("   moat grant openai")
    print('   moat codex -p "explain this codebase" ~/path/to/project')


def main() -> int:
    """Show it; 0 if all of it was so."""
    root = ROOT / ".demo"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        (root / "home").mkdir(mode=0o700, exist_ok=True)
        ensure_tool(CODEX_CLI, home=root / "home", progress=progress_on(sys.stderr))
        began = time.monotonic()
        with set_the_stage(root) as stage:
            show(stage)
        print(f"\nAll of it was so; it took {time.monotonic() - began:.0f} s.")
    except (DemoFailed, MoatError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
