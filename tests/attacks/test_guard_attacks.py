"""What an agent plants so that a program of the host runs it, from inside real boxes.

Each is tried twice: in a box as runs have it, after which the host's own git (or the content of a
file) shows that nothing came of it; and in one that lacks the guard it is about, where it must
come off. Otherwise it would prove nothing about the guard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from support.guarding import Place
from support.users import User

pytestmark = pytest.mark.attack

REPOSITORY = """
git init -q -b main . && echo a > a && git add a && git commit -qm one
"""
# What a person does in the end: whatever git runs for it makes the mark.
USED = """
git status >/dev/null 2>&1; git commit -q --allow-empty -m x >/dev/null 2>&1
for d in sub wt; do [ -d $d ] && (cd $d && git status; git commit -q --allow-empty -m x); done
test -e "$MARK"
"""
PAYLOAD = r'[core]\n\tfsmonitor = "touch MARK; false"\n'
HOOK = r"#!/bin/sh\ntouch MARK\n"


def planted(place: Place) -> bool:
    """Whether something of the box's ran on the host."""
    return place.on_host(USED, check=False).returncode == 0


def obeyed(place: Place) -> bool:
    """Whether the host's git takes its settings from the agent."""
    said = place.on_host("git config --get core.fsmonitor", check=False).stdout
    return str(place.mark) in said


def says(path: str) -> Callable[[Place], bool]:
    """Whether a file has the agent's text."""

    def look(place: Place) -> bool:
        file = place.workspace / path
        return file.is_file() and "evil" in file.read_text()

    return look


@dataclass(frozen=True)
class Attack:
    """What stands there before, what is tried, which guard is in the way, and how to tell."""

    script: str
    guard: str
    before: str = REPOSITORY
    worked: Callable[[Place], bool] = planted


NESTED = REPOSITORY + "mkdir sub; cd sub; git init -q -b main .; git commit -q --allow-empty -m n"
SUBMODULE = (
    "mkdir ../lib; (cd ../lib; git init -q -b main .; git commit -q --allow-empty -m l);"
    + REPOSITORY
    + 'git submodule --quiet add "$PWD/../lib" sub; git commit -qm sub'
)
WORKTREE = REPOSITORY + "git worktree add -q wt"
HOOKS_ELSEWHERE = REPOSITORY + "git config core.hooksPath .githooks;"
LINKED = REPOSITORY + "rm -r .git/hooks; mkdir kept; ln -s ../kept .git/hooks"
NEW_CONFIG = f"printf '{PAYLOAD}' > new; cat .git/config >> new;"
EVIL_GIT = f"rm -rf e; cp -r .git e; rm -f e/commondir e/config; printf '{PAYLOAD}' > e/config;"

ATTACKS = {
    "append_to_config": Attack(f"printf '{PAYLOAD}' >> .git/config", ".git/config"),
    "git_config": Attack("git config core.fsmonitor 'touch MARK; false'", ".git/config"),
    "config_by_rename": Attack(NEW_CONFIG + "mv -f new .git/config", ".git/config"),
    "config_removed_first": Attack(
        NEW_CONFIG + "rm -f .git/config; mv new .git/config", ".git/config"
    ),
    "config_by_hard_link": Attack(
        f"ln .git/config .git/l; printf '{PAYLOAD}' >> .git/l", ".git/config"
    ),
    "config_by_earlier_hard_link": Attack(
        f"printf '{PAYLOAD}' >> before", "before", REPOSITORY + "ln .git/config before"
    ),
    "config_as_a_link": Attack(NEW_CONFIG + "ln -sf ../new .git/config", ".git/config"),
    "config_exchanged_by_directories": Attack(
        "cp -r .git g; mv .git .g2; mv g .git; rm -f .git/config .git/commondir;"
        f"printf '{PAYLOAD}' > .git/config",
        ".git",
    ),
    "git_directory_as_a_link": Attack(
        EVIL_GIT + "mv .git .g2; ln -s e .git", ".git"
    ),
    "git_file": Attack(EVIL_GIT + "mv .git .g2; echo gitdir: e > .git", ".git"),
    "common_directory": Attack(
        EVIL_GIT + "rm -f .git/commondir; echo ../e > .git/commondir", ".git/commondir"
    ),
    "settings_of_a_work_tree": Attack(
        f"rm -f .git/config.worktree; printf '{PAYLOAD}' > .git/config.worktree",
        ".git/config.worktree",
        REPOSITORY + "git config extensions.worktreeConfig true",
    ),
    "new_hook": Attack(
        f"printf '{HOOK}' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit", ".git/hooks"
    ),
    "changed_hook": Attack(
        f"printf '{HOOK}' > .git/hooks/pre-commit",
        ".git/hooks",
        REPOSITORY + "echo '#!/bin/sh' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
    ),
    "other_hooks": Attack(
        "mv .git/hooks .git/h; mkdir .git/hooks;"
        f"printf '{HOOK}' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
        ".git/hooks",
    ),
    "hooks_that_are_not_there": Attack(
        "rm -rf .git/hooks; mkdir -p .git/hooks;"
        f"printf '{HOOK}' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
        ".git/hooks",
        REPOSITORY + "rm -r .git/hooks",
    ),
    "hooks_elsewhere": Attack(
        f"printf '{HOOK}' > .githooks/pre-commit; chmod +x .githooks/pre-commit",
        ".githooks",
        HOOKS_ELSEWHERE + "mkdir .githooks",
    ),
    "hooks_elsewhere_that_are_not_there": Attack(
        "rm -f .githooks; mkdir .githooks;"
        f"printf '{HOOK}' > .githooks/pre-commit; chmod +x .githooks/pre-commit",
        ".githooks",
        HOOKS_ELSEWHERE,
    ),
    "hooks_of_the_persons_settings": Attack(
        f"printf '{HOOK}' > my/pre-commit; chmod +x my/pre-commit",
        "my",
        REPOSITORY + "git config --global core.hooksPath my; mkdir my",
    ),
    "hooks_behind_a_link": Attack(
        f"printf '{HOOK}' > kept/pre-commit; chmod +x kept/pre-commit", "kept", LINKED
    ),
    "the_link_to_hooks": Attack(
        f"mkdir mine; printf '{HOOK}' > mine/pre-commit; chmod +x mine/pre-commit;"
        "ln -sfn ../mine .git/hooks",
        ".git/hooks",
        LINKED,
    ),
    "included_settings": Attack(
        f"printf '{PAYLOAD}' > own.cfg",
        "own.cfg",
        REPOSITORY + "git config include.path ../own.cfg; touch own.cfg",
    ),
    "included_settings_that_are_not_there": Attack(
        f"rm -f own.cfg; printf '{PAYLOAD}' > own.cfg",
        "own.cfg",
        REPOSITORY + "git config include.path ../own.cfg",
    ),
    "program_of_the_settings": Attack(
        f"printf '{HOOK}' > monitor.sh",
        "monitor.sh",
        REPOSITORY + "touch monitor.sh; chmod +x monitor.sh;"
        "git config core.fsmonitor ./monitor.sh",
    ),
    "settings_of_a_nested_repository": Attack(
        f"printf '{PAYLOAD}' >> sub/.git/config", "sub/.git/config", NESTED
    ),
    "hook_of_a_nested_repository": Attack(
        f"printf '{HOOK}' > sub/.git/hooks/pre-commit; chmod +x sub/.git/hooks/pre-commit",
        "sub/.git/hooks",
        NESTED,
    ),
    "nested_repository_moved_away": Attack(
        "cp -r sub s; mv sub s2; mv s sub; rm -f sub/.git/config sub/.git/commondir;"
        f"printf '{PAYLOAD}' > sub/.git/config",
        "sub",
        NESTED,
    ),
    "git_file_of_a_submodule": Attack(
        f"cp -r .git/modules/sub e; rm -f e/config e/commondir; printf '{PAYLOAD}' > e/config;"
        "echo gitdir: ../e > sub/.git",
        "sub/.git",
        SUBMODULE,
    ),
    "settings_of_a_submodule": Attack(
        f"printf '{PAYLOAD}' >> .git/modules/sub/config", ".git/modules/sub/config", SUBMODULE
    ),
    "submodules_moved_away": Attack(
        "cp -r .git/modules m; mv .git/modules .git/m2; mv m .git/modules;"
        "rm -f .git/modules/sub/config .git/modules/sub/commondir;"
        f"printf '{PAYLOAD}' > .git/modules/sub/config",
        ".git/modules",
        SUBMODULE,
    ),
    "common_directory_of_a_work_tree": Attack(
        EVIL_GIT + 'echo "HOST/e" > .git/worktrees/wt/commondir',
        ".git/worktrees/wt/commondir",
        WORKTREE,
    ),
    "work_trees_moved_away": Attack(
        EVIL_GIT + "cp -r .git/worktrees w; mv .git/worktrees .git/w2; mv w .git/worktrees;"
        'rm -f .git/worktrees/wt/commondir; echo "HOST/e" > .git/worktrees/wt/commondir',
        ".git/worktrees",
        WORKTREE,
    ),
    "the_workspace_as_a_repository": Attack(
        "rm -f refs .git/HEAD; cp -r .git/objects objects; mkdir refs;"
        f"printf 'ref: refs/heads/main' > HEAD; printf '{PAYLOAD}\\tbare = false\\n' > config",
        "refs",
        worked=obeyed,
    ),
    "the_workspace_as_a_repository_elsewhere": Attack(
        EVIL_GIT + "rm -f commondir .git/HEAD; echo e > commondir; cp e/HEAD HEAD",
        "commondir",
        worked=obeyed,
    ),
    "a_repository_where_none_was": Attack(
        "rm -rf .git; git init -q .; git config core.fsmonitor 'touch MARK; false'", ".git", "true"
    ),
    "new_envrc": Attack("rm -f .envrc; echo evil > .envrc", ".envrc", worked=says(".envrc")),
    "changed_envrc": Attack(
        "echo evil > .envrc", ".envrc", "echo good > .envrc", worked=says(".envrc")
    ),
    "new_moat_yaml": Attack(
        "rm -f moat.yaml; echo evil > moat.yaml", "moat.yaml", worked=says("moat.yaml")
    ),
    "new_tasks": Attack(
        "rm -f .vscode; mkdir .vscode; echo evil > .vscode/tasks.json",
        ".vscode",
        worked=says(".vscode/tasks.json"),
    ),
    "changed_tasks": Attack(
        "echo evil > .vscode/tasks.json",
        ".vscode",
        "mkdir .vscode; touch .vscode/tasks.json",
        worked=says(".vscode/tasks.json"),
    ),
    "tasks_moved_away": Attack(
        "mv .vscode v; mkdir .vscode; echo evil > .vscode/tasks.json",
        ".vscode",
        "mkdir .vscode; touch .vscode/tasks.json",
        worked=says(".vscode/tasks.json"),
    ),
}  # fmt: skip


def tried(user: User, attack: Attack, **box: str) -> bool:
    place = Place.of(user)
    place.on_host(attack.before)
    script = attack.script.replace("MARK", str(place.mark)).replace("HOST", str(place.workspace))
    place.in_box(f"set -x; {script}; true", **box)
    return attack.worked(place)


@pytest.mark.parametrize("name", ATTACKS)
def test_it_comes_to_nothing(user: User, name: str) -> None:
    """In a box as runs have it."""
    assert not tried(user, ATTACKS[name])


@pytest.mark.parametrize("name", ATTACKS)
def test_without_its_guard_it_comes_off(user: User, name: str) -> None:
    """The guard is what stood in the way."""
    assert tried(user, ATTACKS[name], off=ATTACKS[name].guard)


# A work tree of its own, as --worktree makes one: the repository is seen at its path of the host.
COMMON = {
    "config": (f"printf '{PAYLOAD}' >> $C/config", "config"),
    "hook": (
        f"printf '{HOOK}' > $C/hooks/pre-commit; chmod +x $C/hooks/pre-commit",
        "hooks",
    ),
    "moved_hooks": (
        f"mv $C/hooks $C/h; mkdir $C/hooks; printf '{HOOK}' > $C/hooks/pre-commit;"
        "chmod +x $C/hooks/pre-commit",
        "hooks",
    ),
    "common_directory": (
        f"cp -r $C $TMPDIR/e; mv $TMPDIR/e $C/e; printf '{PAYLOAD}' > $C/e/config;"
        "rm -f $C/e/commondir; rm -f $C/commondir; echo e > $C/commondir",
        "commondir",
    ),
    "common_directory_of_the_work_tree": (
        "cp -r $C $TMPDIR/e; mv $TMPDIR/e $C/e;"
        f"printf '{PAYLOAD}' > $C/e/config; rm -f $C/e/commondir; echo ../../e >"
        " $C/worktrees/tree/commondir",
        "worktrees/tree/commondir",
    ),
}


def tried_on_common(user: User, script: str, **box: str) -> bool:
    place = Place.of(user)
    place.on_host(REPOSITORY + "git worktree add -q ../tree")
    common, tree = place.workspace / ".git", place.directory / "tree"
    script = script.replace("MARK", str(place.mark)).replace("$C", str(common))
    script = script.replace("$TMPDIR", "/tmp")
    place.in_box(f"set -x; {script}; true", workspace=str(tree), common=str(common), **box)
    place.on_host(f"cd {tree}; git status; git commit -q --allow-empty -m x", check=False)
    return planted(place)


@pytest.mark.parametrize("name", COMMON)
def test_nothing_comes_of_it_by_the_repository_of_a_work_tree(user: User, name: str) -> None:
    """The directory that all work trees share is usable, and guarded."""
    assert not tried_on_common(user, COMMON[name][0])


@pytest.mark.parametrize("name", COMMON)
def test_it_comes_off_by_the_repository_where_that_is_not_guarded(user: User, name: str) -> None:
    """The guard is what stood in the way."""
    script, guard = COMMON[name]
    assert tried_on_common(user, script, off=guard)


def test_what_a_box_cannot_see_is_not_pruned(user: User) -> None:
    """Git takes a work tree for gone where its directory is not."""
    place = Place.of(user)
    place.on_host(REPOSITORY + "git worktree add -q ../tree")
    place.in_box("git worktree prune; git gc -q --prune=now")
    assert (
        str(place.directory / "tree")
        in place.on_host("git -C ../tree rev-parse --show-toplevel").stdout
    )


def test_it_is_pruned_where_it_is_not_guarded(user: User) -> None:
    """The guard is what kept it."""
    place = Place.of(user)
    place.on_host(REPOSITORY + "git worktree add -q ../tree")
    place.in_box("git worktree prune", off="all")
    assert place.on_host("git -C ../tree status", check=False).returncode != 0


def filled(user: User, *, forget: bool) -> bool:
    """Whether a second run reaches a repository that the first has hidden in a crowd."""
    place = Place.of(user)
    place.on_host(NESTED)
    place.in_box("seq 200 | xargs mkdir", most=100)
    if forget:
        for known in place.home.glob("workspaces/*/repositories.json"):
            known.unlink()
    script = f"printf '{PAYLOAD}' >> sub/.git/config; true".replace("MARK", str(place.mark))
    place.in_box(script, most=100)
    return planted(place)


def test_a_workspace_that_an_earlier_run_has_filled(user: User) -> None:
    """What was found before is guarded."""
    assert not filled(user, forget=False)


def test_a_filled_workspace_where_nobody_remembers(user: User) -> None:
    """That it was remembered is what stood in the way."""
    assert filled(user, forget=True)


# Repositories that a run makes: nothing guards them, so every file that counts must be told of.
PLANTED = {
    "settings_elsewhere": (
        "mkdir -p docs x/objects x/refs/heads; echo ref: refs/heads/main > docs/HEAD;"
        "echo ../x > docs/commondir;"
        r"printf '[core]\nrepositoryformatversion=1\n[extensions]\nworktreeConfig=true\n' >"
        " x/config;"
        r"printf '[core]\nbare=false\nworktree=..\nfsmonitor=touch MARK; false\n' >"
        " docs/config.worktree",
        "cd docs; git status",
        {"docs/HEAD", "docs/commondir", "docs/config.worktree", "x/config"},
    ),
    "hooks_behind_a_link": (
        "git init -q lib; cd lib; rm -r .git/hooks .git/config; mkdir s;"
        f"printf '{HOOK}' > s/post-commit; chmod +x s/post-commit; ln -s ../s .git/hooks",
        "cd lib; git commit -q --allow-empty -m x",
        {"lib/.git/hooks", "lib/s/post-commit"},
    ),
    "settings_without_hooks_of_their_own": (
        "git init -q lib; cd lib; rm -r .git/hooks; mkdir s; git config core.hooksPath s;"
        f"printf '{HOOK}' > s/post-commit; chmod +x s/post-commit",
        "cd lib; git commit -q --allow-empty -m x",
        {"lib/.git/config", "lib/s/post-commit"},
    ),
    "a_submodule_called_as_what_git_keeps": (
        "git init -q lib; cd lib; mkdir .git/modules sub; git init -q --bare .git/modules/refs;"
        "echo gitdir: ../.git/modules/refs > sub/.git; rm .git/modules/refs/config;"
        f"printf '{HOOK}' > .git/modules/refs/hooks/post-commit;"
        "chmod +x .git/modules/refs/hooks/post-commit",
        "cd lib/sub; git commit -q --allow-empty -m x",
        {"lib/sub/.git", "lib/.git/modules/refs/hooks/post-commit"},
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_repository_that_was_made_is_told_of(user: User, name: str) -> None:
    """Git obeys it, and every file that it takes something from is named as running by itself."""
    script, used, files = PLANTED[name]
    place = Place.of(user)
    said = place.in_box(f"set -e; {script.replace('MARK', str(place.mark))}")
    assert said["code"] == 0, said["err"]
    place.on_host(used, check=False)
    assert place.mark.exists()
    assert files <= {path for path, _, asked in said["changes"]["executed"] if not asked}
