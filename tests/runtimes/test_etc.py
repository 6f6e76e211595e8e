"""The files of /etc a box gets made for it."""

from __future__ import annotations

from moat.runtimes.etc import etc_files
from moat.runtimes.interface import CA_BUNDLE

CA = b"-----BEGIN CERTIFICATE-----\n"


def test_they_name_the_box_and_not_the_host() -> None:
    """Whole, as they are in every box."""
    assert etc_files(CA) == {
        "passwd": b"root:x:0:0:root:/root:/usr/sbin/nologin\n"
        b"agent:x:1000:1000:agent:/home/agent:/bin/sh\n"
        b"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": b"root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n",
        "hosts": b"127.0.0.1\tlocalhost moat\n::1\tlocalhost\n",
        "nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\nservices: files\n",
        "resolv.conf": b"# Names are resolved by Moat's proxy; there is no resolver in the box.\n",
        "ssl/certs/ca-certificates.crt": CA,
    }


def test_the_bundle_is_where_every_tool_is_told_to_look() -> None:
    """The variables of a run name the file that is made here."""
    assert CA_BUNDLE.removeprefix("/etc/") in etc_files(CA)
