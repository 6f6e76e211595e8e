"""The token of a run: who asks its proxy itself must show it (RFC 9110 section 11.7).

In a box there is none: nobody else can connect to what listens there. A proxy that listens on the
host can be reached by every account of it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence

from moat.core.secret import Secret

CHALLENGE = (b"Proxy-Authenticate", b'Basic realm="moat"')

# Rows of the trace for requests of those who did not show the token: they may ask for ever.
MAX_ROWS = 20


def shows(values: Sequence[bytes], token: Secret) -> bool:
    """Whether a request shows a token; `values` are those of its Proxy-Authorization.

    Either as the password of any user (Basic), or as it is (Bearer). Two values show nothing: it
    could be read in two ways who asks.
    """
    if len(values) != 1:
        return False
    scheme, _, said = values[0].partition(b" ")
    given: bytes | None = None
    if scheme.lower() == b"bearer":
        given = said.strip(b" ")
    elif scheme.lower() == b"basic":
        given = _password(said.strip(b" "))
    # Secrets are compared in constant time.
    return given is not None and Secret(given.decode("latin-1")) == token


def _password(credentials: bytes) -> bytes | None:
    """The password of Basic credentials (RFC 7617 section 2); None where there is none."""
    try:
        user_and_password = base64.b64decode(credentials, validate=True)
    except binascii.Error:
        return None
    _, colon, password = user_and_password.partition(b":")
    return password if colon else None


class Strangers:
    """Those who did not show the token, as far as they are written down.

    Each of the first gets a row of the trace; the last of these rows then stands for all to come,
    and is written anew whenever their number has doubled.
    """

    def __init__(self) -> None:
        self.count = 0
        self._row = 0

    def next_row(self, next_number: Callable[[], int], error: str) -> tuple[int, str] | None:
        """One more of them: the number of the row to be written, and what to say; None for none."""
        self.count += 1
        if self.count <= MAX_ROWS:
            self._row = next_number()
            return self._row, error
        if self.count & (self.count - 1):
            return None
        return self._row, f"{error}; {self.count} requests so far that did not show the token"
