"""A secret that can be held without being shown."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """The bytes of a credential: prints as ***, compares in constant time, is never pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself; the only way out."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # here, since few compare and every start pays for an import

        # surrogatepass: an error of encoding would carry the value
        mine = self._value.encode(errors="surrogatepass")
        theirs = other._value.encode(errors="surrogatepass")
        return hmac.compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]  # a hash table would compare in variable time

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")
