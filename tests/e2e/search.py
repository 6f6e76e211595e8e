"""Searches a box from inside for anything that looks like a key; prints what it found, and where.

Passed over: the host's own programs and Moat's (/usr, /opt/moat), which are the same in every run.
"""
# ruff: noqa: PTH113, PTH118, PTH123, PTH208
# The plain calls, for thousands of files on a slow machine.

import json
import mmap
import os
import re

LOOKS_LIKE_A_KEY = re.compile(rb"sk-[A-Za-z0-9_-]{20,}")
PASSED_OVER = {"/proc", "/usr", "/opt/moat"}

found = {}
read = {"files": 0, "processes": 0, "memory": 0}


def look(where, content):
    for match in LOOKS_LIKE_A_KEY.finditer(content):
        found.setdefault(match[0].decode(), set()).add(where)


def look_at_file(path):
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > 0:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    look(path, content)
            else:
                look(path, file.read())
        read["files"] += 1
    except (OSError, ValueError):
        pass


def look_at_memory(process):
    with open(process + "/maps", "rb") as maps, open(process + "/mem", "rb", 0) as memory:
        for start, end in re.findall(rb"^(\w+)-(\w+) r", maps.read(), re.M):
            try:
                memory.seek(int(start, 16))
                content = memory.read(int(end, 16) - int(start, 16))
            except (OSError, OverflowError):
                continue
            look(process + "/mem", content)
            read["memory"] += len(content)


def look_at_process(process):
    for name in ("environ", "cmdline"):
        look_at_file(process + "/" + name)
    try:
        look_at_memory(process)
        read["processes"] += 1
    except OSError:
        pass


for process in filter(str.isdigit, os.listdir("/proc")):
    look_at_process("/proc/" + process)
for directory, directories, files in os.walk("/"):
    directories[:] = [
        name for name in directories if os.path.join(directory, name) not in PASSED_OVER
    ]
    for name in files:
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            look_at_file(path)

print(json.dumps({"found": {key: sorted(where) for key, where in found.items()}, "read": read}))
