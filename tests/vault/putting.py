"""A process that puts credentials: DIRECTORY PROVIDER TIMES."""

import datetime
import sys
from pathlib import Path

from moat.core.secret import Secret
from moat.vault.credential import Credential
from moat.vault.store import Store

directory, provider, times = sys.argv[1:]
sys.stdin.read(1)  # the starting shot
for turn in range(int(times)):
    secret = Secret(f"sk-{provider}-{turn}")
    Store(Path(directory)).put(Credential(provider, secret, datetime.datetime.now(datetime.UTC)))
