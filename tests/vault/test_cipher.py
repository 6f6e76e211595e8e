"""A seal opens with its key, for its place, whole; nothing else opens."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.vault.cipher import SealBroken, open_sealed, seal

KEY = bytes(range(32))
PLAIN = b'{"secret": "sk-1234567890"}'
SEALED = seal(KEY, PLAIN, provider="openai", profile="default")
NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)


@given(key=st.binary(min_size=32, max_size=32), plain=st.binary(), provider=NAMES, profile=NAMES)
def test_what_is_sealed_opens_again(key: bytes, plain: bytes, provider: str, profile: str) -> None:
    """A seal gives back what was put into it, with the same key and the same place."""
    sealed = seal(key, plain, provider=provider, profile=profile)
    assert plain == open_sealed(key, sealed, provider=provider, profile=profile)


@given(st.integers(0, 8 * len(SEALED) - 1))
def test_one_flipped_bit_is_enough(bit: int) -> None:
    """Nonce, ciphertext and tag are all held: no bit of them may change."""
    changed = bytearray(SEALED)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        open_sealed(KEY, bytes(changed), provider="openai", profile="default")


@given(st.binary(max_size=80).filter(lambda made_up: made_up != SEALED))
def test_what_was_never_sealed_does_not_open(made_up: bytes) -> None:
    """Any bytes may lie in a file, the empty and the short among them."""
    with pytest.raises(SealBroken):
        open_sealed(KEY, made_up, provider="openai", profile="default")


@given(provider=NAMES, profile=NAMES)
def test_a_seal_is_good_for_one_place(provider: str, profile: str) -> None:
    """A seal moved to another provider or profile does not open there."""
    sealed = seal(KEY, PLAIN, provider=provider, profile=profile)
    for elsewhere in (provider + "x", profile), (provider, profile + "x"):
        with pytest.raises(SealBroken):
            open_sealed(KEY, sealed, provider=elsewhere[0], profile=elsewhere[1])


def test_the_names_of_a_place_do_not_run_together() -> None:
    """`a` with `bc` is another place than `ab` with `c`."""
    sealed = seal(KEY, PLAIN, provider="a", profile="bc")
    with pytest.raises(SealBroken):
        open_sealed(KEY, sealed, provider="ab", profile="c")


def test_another_key_opens_nothing() -> None:
    """A seal opens with its own key alone."""
    assert PLAIN == open_sealed(KEY, SEALED, provider="openai", profile="default")
    with pytest.raises(SealBroken):
        open_sealed(os.urandom(32), SEALED, provider="openai", profile="default")


def test_no_nonce_is_used_twice() -> None:
    """Sealing the same again gives other bytes."""
    assert 50 == len({seal(KEY, PLAIN, provider="a", profile="b")[:12] for _ in range(50)})
