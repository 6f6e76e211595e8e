"""A strict stand-in for the OpenAI API, driven by a script instead of a model."""

from .faults import Cut, Fault, Silence, Stall, Status
from .script import Call, Say, Shell, Turn
from .seen import Seen
from .server import StandIn

__all__ = [
    "Call",
    "Cut",
    "Fault",
    "Say",
    "Seen",
    "Shell",
    "Silence",
    "Stall",
    "StandIn",
    "Status",
    "Turn",
]
