"""A secret that can be held without being shown."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from dataclasses import dataclass

import pytest

from moat.core.secret import Secret

VALUE = "sk-very-secret"


@dataclass
class Holder:
    secret: Secret


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{!r}".format,
        "{:>40}".format,
        "{0!s:s}".format,
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        lambda secret: str([secret]) + str({"key": secret}) + str((secret,)),
        lambda secret: repr(Holder(secret)),
        lambda secret: str(ValueError(secret)),
        lambda secret: logging.makeLogRecord({"msg": "%s", "args": (secret,)}).getMessage(),
        lambda secret: ascii(secret),
    ],
)
def test_a_secret_prints_as_stars(show: object) -> None:
    """No way of printing shows the value."""
    shown = show(Secret(VALUE))
    assert "***" in shown
    assert VALUE not in shown


def test_reveal_is_the_only_way_out() -> None:
    """What went in comes out when it is asked for by name."""
    assert Secret(VALUE).reveal() == VALUE


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_never_pickled(take: object) -> None:
    """Copying and pickling raise TypeError, without the value."""
    with pytest.raises(TypeError) as caught:
        take(Secret(VALUE))
    assert VALUE not in str(caught.value)


def test_a_secret_is_never_serialised() -> None:
    """JSON does not take it, and says so without the value."""
    with pytest.raises(TypeError) as caught:
        json.dumps({"key": Secret(VALUE)})
    assert VALUE not in str(caught.value)


def test_a_traceback_with_local_variables_does_not_show_it() -> None:
    """A crash dump holds stars."""

    def crash(secret: Secret) -> None:
        raise RuntimeError(f"failed with {secret}")

    try:
        crash(Secret(VALUE))
    except RuntimeError as error:
        shown = "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    assert "Secret(***)" in shown
    assert VALUE not in shown


def test_secrets_compare_by_value() -> None:
    """Equal with equal, unequal with another, and with anything that is no Secret."""
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret(VALUE + "x")
    assert Secret(VALUE) != VALUE
    assert Secret("é") == Secret("é")
    assert Secret("\ud800") != Secret("\ud801")  # what UTF-8 cannot hold


def test_a_secret_has_no_hash() -> None:
    """A hash table would compare in variable time."""
    with pytest.raises(TypeError):
        hash(Secret(VALUE))
