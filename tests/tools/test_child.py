import os
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.tools.child import largest_file, readable, run_child


def sh(script, tmp_path, **options):
    return run_child(["/bin/sh", "-c", script], cwd=tmp_path, **options)


def test_the_code_and_the_complaint_of_a_child_are_kept(tmp_path):
    ended = sh("echo fine; echo broken >&2; exit 3", tmp_path)
    assert (ended.code, ended.complaint) == (3, "broken")
    assert str(ended) == "exited with code 3: broken"


def test_a_child_that_ends_well_has_nothing_to_say(tmp_path):
    assert str(sh("exit 0", tmp_path)) == "exited with code 0"


def test_a_killed_child_is_told_from_one_that_exits(tmp_path):
    assert str(sh("kill -9 $$", tmp_path)) == "was killed by signal 9"


def test_a_program_that_is_not_there_fails(tmp_path):
    ended = run_child([str(tmp_path / "absent")], cwd=tmp_path)
    assert ended.code != 0
    assert "No such file" in ended.complaint


def test_a_child_reads_nothing_and_writes_no_file_others_may_write(tmp_path):
    before = os.umask(0)
    try:
        assert sh("read line && exit 9; : > made; exit 0", tmp_path).code == 0
    finally:
        os.umask(before)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o644


def test_the_environment_is_ours_or_the_one_given(tmp_path, monkeypatch):
    """Registry, proxy and CA settings of the person reach npm."""
    monkeypatch.setenv("npm_config_registry", "http://mirror.invalid")
    show = 'echo "$npm_config_registry" >&2'
    assert sh(show, tmp_path).complaint == "http://mirror.invalid"
    assert sh(show, tmp_path, env={}).complaint == ""


def test_a_full_disk_is_heard_of_however_early(tmp_path):
    many = "; ".join(f"echo line {n} >&2" for n in range(50))
    assert sh(f"echo npm error code ENOSPC >&2; {many}; exit 1", tmp_path).out_of_space
    assert not sh(f"echo npm error code EACCES >&2; {many}; exit 1", tmp_path).out_of_space


def test_a_child_is_watched_while_it_runs(tmp_path):
    seen = []
    sh("sleep 0.7", tmp_path, watch=lambda: seen.append(time.monotonic()))
    assert 3 <= len(seen) <= 8


def test_much_output_is_read_and_only_its_end_is_kept(tmp_path):
    ended = sh("seq 1 100000 >&2", tmp_path)
    assert [str(n) for n in range(99_993, 100_001)] == ended.complaint.splitlines()


def test_a_grandchild_that_holds_the_pipe_is_ended_with_the_child(tmp_path, alive, eventually):
    sh("sleep 60 & echo $! > pid", tmp_path)
    eventually(lambda: not alive(int((tmp_path / "pid").read_text())))


def test_whatever_is_raised_ends_the_child_and_its_children(tmp_path, alive, eventually):
    pid = tmp_path / "pid"

    def interrupt():
        if pid.exists() and pid.read_text().count("\n") == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sh("echo $$ > pid; sleep 60 & echo $! >> pid; wait", tmp_path, watch=interrupt)
    for number in map(int, pid.read_text().split()):
        eventually(lambda number=number: not alive(number))


def test_complaints_are_freed_of_prefixes_and_noise():
    npm = (
        b"npm warn old thing\nnpm error code E404\nnpm error 404 Not Found - GET http://r/x\n"
        b"npm error 404\nnpm error A complete log of this run can be found in: /tmp/x.log\n"
    )
    assert readable(npm) == "E404\nNot Found - GET http://r/x"
    assert readable(b"ERROR: No matching distribution\n") == "No matching distribution"


def test_logins_in_urls_are_hidden():
    assert readable(b"npm error GET https://me:pw@r.invalid/x") == "GET https://***@r.invalid/x"
    assert readable(b"npm error GET https://r.invalid/@a/x") == "GET https://r.invalid/@a/x"


@given(st.binary(max_size=2000))
def test_no_control_character_survives(output):
    assert all(c.isprintable() or c == "\n" for c in readable(output))


@given(st.lists(st.sampled_from([b"\x1b[31m", b"\x1b]0;title\x07", b"\r", b"\x1b[2K"])))
def test_escape_sequences_leave_no_remains(codes):
    assert readable(b"".join(codes) + b"broken" + b"".join(codes)) == "broken"


def test_the_largest_file_is_found_in_the_depth(tmp_path):
    assert largest_file(tmp_path) == 0
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(bytes(10))
    (tmp_path / "d").write_bytes(bytes(7))
    assert largest_file(tmp_path) == 10


def test_the_interpreter_that_launches_takes_nothing_from_the_folder(tmp_path):
    """A module lying about in the working directory is not imported on the way."""
    (tmp_path / "ctypes.py").write_text("raise SystemExit(9)")
    assert run_child([sys.executable, "-I", "-c", ""], cwd=tmp_path).code == 0
