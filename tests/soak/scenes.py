"""Which scenes there are, and in which order they are played."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.soak.honest import Honest
from tests.soak.hostile import Hostile


class Player(Honest, Hostile):
    """A client that knows all scenes."""


SCENES = {
    "small": 12, "upload": 4, "download": 4, "events": 4, "websocket": 5, "telling": 6,
    "streams": 8, "translated": 4, "deserter": 6, "half_an_upload": 4, "half_a_tunnel": 3,
    "no_hello": 1, "half_closed": 3, "refused": 4, "refused_tunnel": 2, "stranger": 2,
    "nobody_there": 1, "leak": 1, "bad_server": 4, "silent_server": 1, "cut_off": 1,
}  # fmt: skip
"""The scenes, and how often each is played among them."""


def scenes(rng: random.Random) -> Iterator[str]:
    """Scenes without end: all of them, then by chance."""
    first = list(SCENES)
    rng.shuffle(first)
    yield from first
    while True:
        yield from rng.choices(list(SCENES), list(SCENES.values()), k=50)
