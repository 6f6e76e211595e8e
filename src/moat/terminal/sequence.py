"""Control sequences as they are read here: by the filter, by who follows modes, by the screen.

All three read them with this, so that what is passed on is what is known.
Sequences as in ECMA-48 and xterm's "Control Sequences".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_PARAMETERS = re.compile(rb"([<-?]?)([0-9;:]*)")
_LEADING_ZEROS = re.compile(rb"(?<![0-9])0+(?=[0-9])")
_TOO_LARGE = re.compile(rb"[0-9]{5}")
_LARGEST = 9999  # a terminal counts no further; what stands for more is read as this


class Csi(NamedTuple):
    """`ESC [`, a private letter or none, parameters, intermediates and final."""

    private: bytes
    parameters: bytes
    final: bytes  # with the intermediates before it

    @property
    def kind(self) -> bytes:
        """What it is about, whatever its parameters."""
        return self.private + self.final

    @property
    def numbers(self) -> tuple[int, ...]:
        """Its parameters, at least one; 0 where there is none."""
        return numbers(self.parameters)

    def spelled(self) -> Csi:
        """The same in its usual spelling: no leading zeros, no number above 9999."""
        usual = _LEADING_ZEROS.sub(b"", self.parameters)
        if _TOO_LARGE.search(usual):
            usual = b";".join(b"%d" % number for number in self.numbers)
        return self._replace(parameters=usual)

    def written(self) -> bytes:
        """As it is written to a terminal."""
        return b"\x1b[" + self.private + self.parameters + self.final


@lru_cache(maxsize=512)  # programs print the same few again and again
def read_csi(parameters: bytes, final: bytes) -> Csi | None:
    """A sequence in its usual spelling, by parameters with any private letter; None for one nobody
    defines."""
    read = _PARAMETERS.fullmatch(parameters)
    return Csi(read[1], read[2], final).spelled() if read else None


@lru_cache(maxsize=1024)
def numbers(parameters: bytes) -> tuple[int, ...]:
    """Parameters as numbers from 0 to 9999; of those in parts (`4:3`), the first."""
    return tuple(
        min(int(each.partition(b":")[0] or b"0"), _LARGEST) for each in parameters.split(b";")
    )
