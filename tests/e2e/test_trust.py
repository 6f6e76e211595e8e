"""Tools of every kind, real ones, fetch over TLS in a box: they accept Moat's CA, and verify.

Each is run in three boxes. In a box as it is, it must succeed. In a twin whose trust pack holds a
stranger's CA, it must refuse before it asks for anything: so it does not succeed for not looking.
And where no variable tells it of a CA, it finds it where the system keeps such things; a tool with
roots of its own refuses, which is what its variable is for.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from moat.pki.pack import CA_VARIABLES
from standin.certs import make_certificates
from support.cli import Cli
from support.fetching import FILES, PYTHONS_REFUSAL, TOOLS, Tool
from support.mirror import HOST, URL, RunningMirror
from support.users import copy_libraries

SYSTEM = "/usr/local/bin:/usr/bin:/bin"


class Swapped(Cli):
    """`moat` whose boxes are given another CA than the one its proxy has."""

    def command(self, *arguments: str) -> list[str]:
        swap = (
            "import sys, pathlib; from moat.run import steps; from moat.cli.main import main\n"
            "pem = pathlib.Path(sys.argv.pop(1)).read_bytes()\n"
            "steps.ensure_ca_pem = lambda directory: pem\n"
            "sys.exit(main())"
        )
        return [*self.python, "-P", "-c", swap, str(self.home / "stranger/ca.pem"), *arguments]


@dataclass(frozen=True)
class Boxes:
    """Moat and its twin, with one home and one workspace; what tools need of the host."""

    cli: Cli
    twin: Cli
    mounts: dict[str, Path] = field(default_factory=dict)

    def run(
        self, script: str, *, needs: tuple[str, ...] = (), twin: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script, to its first error."""
        mounts = [word for name in needs for word in ("-m", f"{self.mounts[name]}:/opt/{name}")]
        cli = self.twin if twin else self.cli
        return cli.run("run", *mounts, "--", "sh", "-e", "-c", script)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMirror]:
    with RunningMirror(tmp_path_factory.mktemp("mirror")) as running:
        yield running


@pytest.fixture(scope="module")
def boxes(
    tmp_path_factory: pytest.TempPathFactory, mirror: RunningMirror, tool_home: Path
) -> Boxes:
    """Boxes that may reach the server, under its name."""
    place = tmp_path_factory.mktemp("trust")
    home, workspace, site = place / "home", place / "workspace", place / "site"
    home.mkdir(mode=0o700)
    workspace.mkdir()
    (home / "config.yaml").write_text(
        f"upstream:\n  ca_file: {mirror.ca_file}\n"
        f'  connect_to: {{"{HOST}:443": "127.0.0.1:{mirror.port}"}}\n'
        f"network:\n  allow: [{HOST}]\n"
    )
    make_certificates(home / "stranger", names=[HOST])
    for name, content in FILES.items():
        (workspace / name).write_text(content)
    copy_libraries(site, "aiohttp", "httpx", "pip", "requests")
    mounts = {"site": site, "node": node(tool_home)}
    if toolchain := rust():
        mounts["rust"] = toolchain
    return Boxes(Cli(home, workspace), Swapped(home, workspace), mounts)


def node(home: Path) -> Path:
    """The Node.js that Moat installs where there is none: one that can be told of a proxy."""
    from moat.tools.node import ensure_node
    from moat.tools.progress import progress_on

    with Path("/dev/stderr").open("w") as stderr:
        program = Path(ensure_node(home, progress_on(stderr))[0])
    return program.resolve().parents[2]


def rust() -> Path | None:
    """A Rust toolchain: rustup's, whose own `cargo` only leads there, or one of /usr."""
    asked = ["rustup", "which", "cargo"] if shutil.which("rustup") else ["which", "cargo"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return Path(found).resolve().parents[1] if found else None


@pytest.fixture
def tool(name: str, boxes: Boxes) -> Tool:
    """The tool of a name; skips where it is not installed."""
    found = TOOLS[name]
    if found.needs:
        there = boxes.mounts.keys() >= set(found.needs)
    else:
        there = shutil.which(name, path=SYSTEM) is not None
    if not there:
        pytest.skip(f"there is no {name} on this machine")
    return found


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_fetches(boxes: Boxes, mirror: RunningMirror, tool: Tool) -> None:
    """Without an option of its own, or a setting."""
    mirror.seen.clear()
    done = boxes.run(tool.fetch, needs=tool.needs)
    assert (0, tool.printed) == (done.returncode, done.stdout.strip()), done.stderr
    assert tool.path in mirror.seen


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_verifies(boxes: Boxes, mirror: RunningMirror, tool: Tool) -> None:
    """From a proxy that its pack does not vouch for it fetches nothing, and says why."""
    mirror.seen.clear()
    refused = boxes.run(tool.fetch, needs=tool.needs, twin=True)
    assert 0 != refused.returncode
    assert re.search(tool.refusal, refused.stderr), refused.stderr
    assert [] == mirror.seen


@pytest.mark.parametrize("name", [name for name in TOOLS if name != "java"])
def test_a_tool_that_is_told_nothing_asks_the_system(
    boxes: Boxes, mirror: RunningMirror, tool: Tool
) -> None:
    """Without the variables; one with roots of its own does not, and refuses."""
    mirror.seen.clear()
    done = boxes.run(f"unset {' '.join(CA_VARIABLES)}\n{tool.fetch}", needs=tool.needs)
    if tool.own_roots:
        assert re.search(tool.refusal, done.stderr), done.stderr
        assert [] == mirror.seen
    else:
        assert (0, tool.printed) == (done.returncode, done.stdout.strip()), done.stderr


def test_openssl_finds_the_ca_by_its_hash(boxes: Boxes) -> None:
    """In the system's directory of certificates, where there is no bundle."""
    fetch = (
        "import ssl, urllib.request as it\n"
        "context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
        "context.load_verify_locations(capath='/etc/ssl/certs')\n"
        f"print(it.urlopen('{URL}/hello', context=context).read())"
    )
    script = f"python3 - <<'END'\n{fetch}\nEND"
    done = boxes.run(script)
    assert (0, "b'hello\\n'\n") == (done.returncode, done.stdout), done.stderr
    assert re.search(PYTHONS_REFUSAL, boxes.run(script, twin=True).stderr)


def test_git_clones_and_pushes(boxes: Boxes, mirror: RunningMirror) -> None:
    """Over https, to git's own smart-HTTP server; more than one buffer of it."""
    url = mirror.new_repository("project.git")
    done = boxes.run(
        f"""cd /tmp
        git clone -q {url} work
        cd work
        git config user.name A
        git config user.email a@example.com
        head -c 3000000 /dev/urandom > large
        git add large
        git commit -q -m 'of the box'
        git push -q origin main"""
    )
    assert 0 == done.returncode, done.stderr
    assert ["of the box", "the first"] == mirror.log_of("project.git")
    alone = boxes.run(f"unset {' '.join(CA_VARIABLES)}\ngit ls-remote {url}")
    assert alone.stdout.endswith("\trefs/heads/main\n"), alone.stderr


def test_git_verifies(boxes: Boxes, mirror: RunningMirror) -> None:
    """Neither does it fetch from a stranger, nor does it push there."""
    url = mirror.new_repository("other.git")
    mirror.seen.clear()
    refusal = re.compile("certificate (verification failed|problem)")
    cloned = boxes.run(f"git clone -q {url} /tmp/work", twin=True)
    assert 128 == cloned.returncode
    assert refusal.search(cloned.stderr), cloned.stderr
    pushed = boxes.run(
        f"""git init -q /tmp/work
        cd /tmp/work
        git -c user.name=A -c user.email=a@example.com commit -q --allow-empty -m 'of the box'
        git push -q {url} HEAD:main""",
        twin=True,
    )
    assert 128 == pushed.returncode
    assert refusal.search(pushed.stderr), pushed.stderr
    assert ([], ["the first"]) == (mirror.seen, mirror.log_of("other.git"))


@pytest.mark.parametrize("name", ["java"])
def test_options_for_java_are_added_to(boxes: Boxes, tool: Tool) -> None:
    """The person's own reach it; those that lead elsewhere do not get the last word."""
    options = (
        "-Dmine=kept",
        "-Djavax.net.ssl.trustStore=/nowhere",
        "-Dhttps.proxyHost=elsewhere.example.com",
        "-Dhttps.proxyPort=1",
    )
    variable = f"JAVA_TOOL_OPTIONS={' '.join(options)}"
    done = boxes.cli.run("run", "-e", variable, "--", "sh", "-c", tool.fetch)
    assert (0, "hello\nhello\nkept") == (done.returncode, done.stdout), done.stderr


@pytest.mark.parametrize("name", ["java"])
def test_java_without_options_asks_the_system(boxes: Boxes, tool: Tool) -> None:
    """A package's Java keeps its store in /etc; another has roots of its own."""
    home = Path(shutil.which("java", path=SYSTEM) or "").resolve().parents[1]
    store = (home / "lib/security/cacerts").resolve()
    less = """JAVA_TOOL_OPTIONS=$(echo "$JAVA_TOOL_OPTIONS" | sed 's/-Djavax[^ ]*//g')\n"""
    done = boxes.run(less + tool.fetch)
    if store.is_relative_to("/etc"):
        assert (0, tool.printed) == (done.returncode, done.stdout.strip()), done.stderr
    else:
        assert re.search(tool.refusal, done.stderr), done.stderr
