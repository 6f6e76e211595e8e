"""Tests with one guard off:

python -m pytest -p tests.mutations.plugin --mutate host-is-compared tests/proxy/test_server.py
"""

from __future__ import annotations

import sys

import pytest
from tests.mutations.guard import switch_off
from tests.mutations.table import GUARDS

PATIENCE = 3.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutate", metavar="GUARD", choices=sorted(GUARDS))


# Before the first conftest.py, which may import what is to be changed.
@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    name = early_config.known_args_namespace.mutate
    if name is not None:
        from hypothesis import settings

        # What fails without a guard is nothing to be tried again with it.
        settings.register_profile("mutated", database=None)
        settings.load_profile("mutated")
        switch_off(GUARDS[name])


def pytest_collection_finish(session: pytest.Session) -> None:
    """What does not come without a guard is not waited for as long as with it."""
    support = sys.modules.get("proxy.support")
    if session.config.option.mutate is not None and support is not None:
        support.PATIENCE = PATIENCE
