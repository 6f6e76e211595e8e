"""The files of /etc a box gets made for it."""

from __future__ import annotations

from moat.pki.pack import TRUST_LINKS, trust_files
from moat.runtimes.etc import ETC_MADE, etc_files
from moat.runtimes.interface import CA_BUNDLE, JAVA_STORE

CA = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def test_they_name_the_box_and_not_the_host() -> None:
    """Whole, as they are in every box."""
    assert etc_files(CA) == {
        "passwd": b"root:x:0:0:root:/root:/usr/sbin/nologin\n"
        b"agent:x:1000:1000:agent:/home/agent:/bin/sh\n"
        b"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": b"root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n",
        "hosts": b"127.0.0.1\tlocalhost moat\n::1\tlocalhost\n",
        "nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\nservices: files\n",
        "resolv.conf": b"nameserver 127.0.0.1\noptions timeout:2 attempts:2\n",
        **trust_files(CA),
    }


def test_the_pack_is_where_every_tool_is_told_to_look() -> None:
    """The variables of a run name files that are made here."""
    for path in (CA_BUNDLE, JAVA_STORE):
        assert path.removeprefix("/etc/") in etc_files(CA)


def test_whatever_is_made_is_mounted() -> None:
    """Each by its name, and nothing that is not made; links lead to what is."""
    assert set(ETC_MADE) == etc_files(CA).keys()
    assert set(TRUST_LINKS.values()) <= set(ETC_MADE)
    assert not TRUST_LINKS.keys() & set(ETC_MADE)
