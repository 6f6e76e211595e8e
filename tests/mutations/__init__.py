"""The switchboard: every guard is switched off once, and some attack must succeed then."""
