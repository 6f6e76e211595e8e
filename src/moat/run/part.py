"""What a client of a run takes part in, and how it comes out of it."""

from __future__ import annotations

from typing import NamedTuple

from moat.errors import MoatError


class Ended(NamedTuple):
    """How a run ended, as its supervisor told it, unless that `died`; or `left`, why it goes on
    without us."""

    code: int
    error: MoatError | None
    left: str | None = None
    died: bool = False


class Part(NamedTuple):
    """What a client takes part in.

    `terminal` puts the person's terminal in raw mode, so that every key reaches the box; `stdin`
    says whether standard input is the run's. `first` is who started the run. Who `watches` has no
    say in it. `leaves` once the run has been started is whoever wants it in the background;
    `detach_keys` are those of the setting. What goes to the person's terminal from a run that has
    none is filtered, unless it is to be `unfiltered`.
    """

    terminal: bool
    stdin: bool
    first: bool = False
    watches: bool = False
    leaves: bool = False
    detach_keys: str | None = None
    unfiltered: bool = False
