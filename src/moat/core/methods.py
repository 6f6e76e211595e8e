"""The methods of HTTP there are, so that a slip in one is seen and not taken for a new one."""

from __future__ import annotations

# IANA's registry of them (RFC 9110 section 16.1.1), and a few that are in use without it.
_REGISTERED = """
ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK MERGE
MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PRI
PROPFIND PROPPATCH PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE
UPDATEREDIRECTREF VERSION-CONTROL
"""
_IN_USE = "BAN LIST M-SEARCH NOTIFY PURGE REFRESH SUBSCRIBE TRACK UNSUBSCRIBE"
METHODS = frozenset((*_REGISTERED.split(), *_IN_USE.split()))


def meant_method(text: str) -> str | None:
    """The method that was meant by one that is none but looks like it; None for any other text:
    a server may know methods of its own."""
    word = text.upper()
    if word in METHODS:
        return None
    import difflib  # here, as few rules are mistyped

    near = difflib.get_close_matches(word, sorted(METHODS), n=1, cutoff=0.75)
    return near[0] if near else None
