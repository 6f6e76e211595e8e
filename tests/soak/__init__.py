"""Mixed traffic, much of it hostile, through a real proxy; and what must be true at its end."""

import sys
from pathlib import Path

# The peers that the tests of the proxy are made of serve here as well, however this is started.
_TESTS = str(Path(__file__).parent.parent)
if _TESTS not in sys.path:
    sys.path.append(_TESTS)
