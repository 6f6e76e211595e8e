"""Bytes that are nearly HTTP."""

from __future__ import annotations

from hypothesis import strategies as st

NOISE = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        b"\r\n|\n|\r|GET| |/|HTTP/1.1|:|Host|200|0|5|ff|;|\0|\r\n\r\n|Content-Length|chunked|"
        b"Transfer-Encoding".split(b"|")
    ),
)
