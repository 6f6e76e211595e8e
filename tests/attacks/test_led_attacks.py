"""What runs put where programs of the host are led: by settings that were there before, by links,
by what only becomes a repository, or one that lies where git keeps its objects.

As root and as somebody without any rights. Where it was there it is guarded; where it was not, the
receipt names it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.agents import COMMON, REPOSITORY, SUBMODULE, Agent, agents, by_itself
from support.cli import Cli
from support.users import User

pytestmark = pytest.mark.attack

EVIL = r"printf '[core]\n\tbare = false\n\tfsmonitor = evil\n'"
MAKE = "mkdir -p $D/objects $D/refs; echo ref: refs/heads/main > $D/HEAD;" + EVIL + " > $D/config"


@pytest.fixture
def agent(user: User, user_cli: Cli) -> Iterator[Agent]:
    """Of each user."""
    yield from agents(user, user_cli)


def test_programs_that_settings_name_and_that_are_not_there_yet(agent: Agent) -> None:
    """The settings are the person's, and do not change."""
    agent.place.on_host(
        REPOSITORY + "git config core.fsmonitor .fsmon/watch; git config alias.zz '!tools/zz.sh';"
        "git config filter.x.clean tools/new/clean.sh; git config tar.x.command tools/tar;"
        "mkdir tools mine; git config --global core.alternateRefsCommand mine/refs"
    )
    names = {".fsmon/watch", "tools/zz.sh", "tools/new/clean.sh", "tools/tar", "mine/refs"}
    files = agent.run(f"mkdir .fsmon tools/new; for f in {' '.join(names)}; do echo x > $f; done")
    assert names == by_itself(files)
    files = agent.run("echo y > tools/zz.sh; echo y > other; mv tools tools2")
    assert set() == by_itself(files)
    assert "x\n" == (agent.workspace / "tools/zz.sh").read_text()


def test_programs_that_settings_of_a_shared_repository_name(agent: Agent) -> None:
    """They are relative to the work tree, which they are not in."""
    agent.place.on_host(REPOSITORY + "git config core.fsmonitor tools/x")
    files = agent.run("mkdir tools; echo x > tools/x", "--worktree", "fix")
    assert {"tools/x"} == by_itself(files)


def test_programs_that_settings_name_beside_what_is_closed(agent: Agent) -> None:
    """What cannot be looked into is said, and the rest asked all the same."""
    agent.place.on_host(REPOSITORY + "git config core.fsmonitor .fsmon/watch")
    files = agent.run(
        "mkdir -p .git/worktrees .git/modules/x .fsmon; echo x > .fsmon/watch;"
        "chmod 000 .git/worktrees .git/modules"
    )
    assert ".fsmon/watch" in by_itself(files)
    assert files["complete"] == (agent.user.uid == 0)


def test_settings_that_name_a_directory(agent: Agent) -> None:
    """Twin: a word of a line for a shell; what is in it changes every day."""
    agent.place.on_host(REPOSITORY + "git config alias.t '!cd src && make t'; mkdir src")
    files = agent.run("echo x > src/main.c")
    assert [] == files["executed"]


@pytest.mark.parametrize(
    "place", ["objects/zz", "objects/ab", "objects/ab/cd", "objects/pack/p", "refs/zz", "logs/a/b"]
)
def test_a_repository_where_git_keeps_its_own(agent: Agent, place: str) -> None:
    """A `.git` file leads there before anything is."""
    agent.place.on_host(REPOSITORY)
    script = f"mkdir sub; echo gitdir: ../.git/{place} > sub/.git"
    assert {"sub/.git"} == by_itself(agent.run(script))
    agent.run(f"D=.git/{place}; {MAKE}")
    assert not (agent.workspace / ".git" / place / "config").exists()
    files = agent.run(f"D=.git/{place}x; {MAKE}")
    # Among branches a HEAD is as good as any.
    head = set() if place.startswith("refs") else {f".git/{place}x/HEAD"}
    assert {f".git/{place}x/config"} | head == by_itself(files)


def test_a_part_of_a_repository_where_git_keeps_its_own(agent: Agent) -> None:
    """What another shares with it, made before and after it is led there."""
    agent.place.on_host(REPOSITORY)
    assert (
        ".git/refs/ee/config"
        in agent.run(f"mkdir .git/refs/ee; {EVIL} > .git/refs/ee/config")["added"]
    )
    files = agent.run(
        "mkdir s; echo ref: refs/heads/m > s/HEAD; echo ../.git/refs/ff > s/commondir;"
        f"mkdir .git/refs/ff; {EVIL} > .git/refs/ff/config; echo {'a' * 40} > .git/refs/ff/x"
    )
    assert {"s/HEAD", "s/commondir", ".git/refs/ff/config"} == by_itself(files)
    assert ".git/refs/ff/x" not in files["added"]
    agent.run("mkdir .git/refs/ff/hooks; echo x > .git/refs/ff/hooks/pre-commit")
    assert not (agent.workspace / ".git/refs/ff/hooks/pre-commit").exists()


def test_a_hook_among_reflogs(agent: Agent) -> None:
    """Its first line looks like one of those; a shell runs it."""
    agent.place.on_host(REPOSITORY)
    line = f"{'0' * 40} {'0' * 40} a > /dev/null; evil"
    files = agent.run(
        f"D=.git/logs/d; mkdir -p $D/hooks; echo '{line}' > $D/hooks/pre-commit;"
        f"chmod +x $D/hooks/pre-commit; {MAKE}"
    )
    assert {f".git/logs/d/{n}" for n in ("HEAD", "config", "hooks/pre-commit")} == by_itself(files)


def test_where_the_repository_that_work_trees_share_keeps_its_own(agent: Agent) -> None:
    """It is looked at as well."""
    agent.place.on_host(REPOSITORY)
    files = agent.run(COMMON + f"D=objects/qq; {MAKE}", "--worktree", "fix")
    there = agent.workspace / ".git/objects/qq"
    assert {str(there / "HEAD"), str(there / "config")} == by_itself(files)


def test_ordinary_work_is_nothing_strange(agent: Agent) -> None:
    """Twin: whatever branches are called, and whatever git makes of objects."""
    agent.place.on_host(
        SUBMODULE + "git clone -q . ../up; git remote add origin ../up; git fetch -q"
    )
    author = "git config --global user.name a; git config --global user.email a@example.com;"
    files = agent.run(
        author + "for b in config hooks/a objects/x refs/y HEAD/commondir; do"
        " git checkout -q -b $b; echo $b > f; git add f; git commit -qm $b; done;"
        "git update-ref refs/remotes/origin/config HEAD; git repack -adq --write-bitmap-index;"
        "git multi-pack-index write; git commit-graph write --split; git update-server-info;"
        "git gc -q; git commit -q --allow-empty -m x; git stash -q; git notes add -m n"
    )
    assert ([], ["f", "ran"], []) == (files["executed"], files["added"], files["removed"])
    assert [] == files["notes"]


@pytest.mark.parametrize("links", [17, 39])
def test_long_chains_of_links(agent: Agent, links: int) -> None:
    """The kernel follows forty."""
    agent.place.on_host("mkdir pkg")
    chain = f"mkdir c; echo x > c/t; ln -s t c/l1; for i in $(seq 2 {links});"
    agent.run(chain + f"do ln -s l$((i-1)) c/l$i; done; ln -s ../c/l{links} pkg/.envrc")
    assert "x\n" == (agent.workspace / "pkg/.envrc").read_text()
    assert "c/t" in by_itself(agent.run("echo evil >> c/t"))


def test_links_of_a_repository_in_parts(agent: Agent) -> None:
    """That is called anything; what it shares has neither HEAD nor files of its own."""
    agent.place.on_host(
        "mkdir -p d e/objects e/refs scr; echo ref: refs/heads/m > d/HEAD; echo ../e > d/commondir;"
        "echo > plain.txt; ln -s ../plain.txt e/config; ln -s ../scr e/hooks"
    )
    agent.run(f"{EVIL} > plain.txt; echo x > scr/post-commit")
    assert "\n" == (agent.workspace / "plain.txt").read_text()
    assert not (agent.workspace / "scr/post-commit").exists()
    agent.place.on_host("mkdir f; mv d/HEAD d/commondir f; rmdir d")
    files = agent.run(
        "mkdir h g; echo ref: refs/heads/m > g/HEAD; echo ../h > g/commondir;"
        f"ln -s ../note h/config; ln -s ../hk h/hooks; mkdir hk; echo > hk/pre-push; {EVIL} > note"
    )
    assert {"note", "hk/pre-push", "g/HEAD", "g/commondir"} <= by_itself(files)


def test_links_in_guarded_directories(agent: Agent) -> None:
    """And other names of files further below; what nobody obeys stays as it was."""
    agent.place.on_host(
        REPOSITORY + "mkdir -p scripts tools .claude/hooks .claude/notes .husky/_ .git/hooks/d;"
        "for f in scripts/a scripts/b scripts/n tools/x tools/y tools/w; do echo good > $f; done;"
        "ln -s ../../scripts/a .git/hooks/pre-commit; ln -s ../../scripts/b .claude/hooks/b;"
        "ln -s ../../scripts/n .claude/notes/n;"
        "ln tools/x .claude/hooks/x; ln tools/y .husky/_/y; ln tools/w .git/hooks/d/w"
    )
    files = agent.run("for f in scripts/? tools/?; do echo evil >> $f; done")
    assert ["scripts/n"] == files["changed"]
    assert [] == files["notes"]


def test_all_places_of_mise(agent: Agent) -> None:
    """What is there is guarded, and the rest told of."""
    agent.place.on_host("mkdir -p .config/mise; echo > .config/mise/config.toml; echo > .rtx.toml")
    new = (
        "mise/config.toml",
        "mise.dev.toml",
        ".mise.dev.toml",
        ".miserc.toml",
        ".config/mise.toml",
    )
    files = agent.run(
        "mkdir mise mise-tasks; echo evil > .rtx.toml; echo evil > .config/mise/config.toml;"
        f"echo x > mise-tasks/t; for f in {' '.join(new)}; do echo x > $f; done"
    )
    assert set(new) == by_itself(files)
    assert [] == files["changed"]
    assert "mise-tasks/t" in {item["path"] for item in files["executed"]}


UPDATE = "git -c protocol.file.allow=always submodule update"


def test_submodules_are_not_updated_unless_their_settings_may_change(agent: Agent) -> None:
    """Git writes what they say once more; whoever lets it is told of it."""
    agent.place.on_host(SUBMODULE + "git -C sub commit -q --allow-empty -m more")
    assert 0 == agent.cli.run("run", "--", "git", "-C", "sub", "checkout", "-q", "HEAD^").returncode
    agent.place.on_host("git -C sub checkout -q main")
    agent.run(f"{UPDATE} > said 2>&1")
    assert "could not" in (agent.workspace / "said").read_text()
    setting = ".git/modules/sub/config"
    files = agent.run(f"{UPDATE} > said 2>&1; echo $? >> said", "--allow-write", setting)
    assert (agent.workspace / "said").read_text().endswith("\n0\n")
    assert "l" == agent.git("sub", "log", "-1", "--format=%s").strip()
    assert {setting} == by_itself(files)
    agent.place.on_host("git -C sub checkout -q main; git submodule update")
