"""The hosts of a soak, and what is secret in it."""

from __future__ import annotations

API = "api.openai.com"
"""Where the credential goes; it answers with it in all spellings."""
PLAIN = "files.example.com"
"""Where none goes."""
ONLY_H2 = "grpc.example.com"
"""An upstream that speaks nothing but HTTP/2."""
SHUT = "shut.example.com"
"""Denied and allowed again as the soak goes on."""
DENIED = "uploads.example.com"
NOWHERE = "gone.example.com"
"""Allowed, but nobody listens there."""

KEY = "sk-proj-uD4r0Zq8/Hn+2Lw=Vx7_Bt-9KcYe1JgMa6PfSoTi3WnXb5"
"""The real one. No part of it is met by chance."""
TOKEN = "soak-t0ken-9f27c1"
PATIENCE = 60.0
"""Seconds after which something is taken to hang. Nothing is measured by it."""
