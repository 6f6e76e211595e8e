"""The trust pack: all by which programs are told of Moat's CA and of its proxy, in one place.

None of it switches verification off. A pack is the variables of `trust_environment` and, where
/etc is Moat's to make, the files of `trust_files` with the links to them: what a program is not
told by a variable it finds where its distribution keeps such things.
"""

from __future__ import annotations

from collections.abc import Iterable

from moat.pki.java import java_trust_store

# Each takes the path of a file of certificates in PEM, and is in the documentation of its tool.
CA_VARIABLES = (
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CODEX_CA_CERTIFICATE",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "HEX_CACERTS_PATH",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",  # OpenSSL and what is made of it, Go, Ruby, uv, httpx, rustls
)
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
PROXY_VARIABLES = (*_PROXY_VARIABLES, *(name.lower() for name in _PROXY_VARIABLES))
# The JVM heeds neither of the above; its own variable is a list of options, which can be added to.
JAVA_OPTIONS = "JAVA_TOOL_OPTIONS"
_TOLD_ONCE = {
    # With credentials in the proxy's address, git would first ask without them.
    "GIT_HTTP_PROXY_AUTHMETHOD": "basic",
    # Node.js has heeded it since 22.21 and 24; without it, `fetch` and `https` know of no proxy.
    "NODE_USE_ENV_PROXY": "1",
}
TRUST_VARIABLES = (*PROXY_VARIABLES, *CA_VARIABLES, *_TOLD_ONCE, JAVA_OPTIONS)

# Below /etc: the bundle and the store, where Debian has them, and links from where others do.
_BUNDLE, _STORE = "ssl/certs/ca-certificates.crt", "ssl/certs/java/cacerts"
TRUST_LINKS = {
    "pki/ca-trust/extracted/pem/tls-ca-bundle.pem": _BUNDLE,  # Red Hat
    "pki/java/cacerts": _STORE,  # its Java
    "pki/tls/cert.pem": _BUNDLE,  # its OpenSSL
    "pki/tls/certs/ca-bundle.crt": _BUNDLE,  # Fedora
    "ssl/ca-bundle.pem": _BUNDLE,  # SUSE
    "ssl/cert.pem": _BUNDLE,  # Alpine; OpenSSL's own
    # In a directory OpenSSL looks for a hash of the subject, which is the same for each CA of ours.
    "ssl/certs/9b77e1f5.0": _BUNDLE,
    "ssl/certs/ca-bundle.crt": _BUNDLE,
}


def trust_files(ca_pem: bytes) -> dict[str, bytes]:
    """Name below /etc and content, for a system that trusts this CA and no other; the rest of it
    is TRUST_LINKS."""
    return {_BUNDLE: ca_pem, _STORE: java_trust_store(ca_pem)}


def trust_environment(
    bundle: str,
    java_store: str,
    *,
    host: str,
    port: int,
    not_proxied: Iterable[str],
    token: str | None = None,
) -> dict[str, str]:
    """The variables for a process that sees the CA at these two paths and the proxy at this place.

    `bundle` is in PEM, `java_store` made by `java_trust_store`; `not_proxied` are the hosts that
    are reached without the proxy. With a `token`, the proxy is asked as user `moat` with it as
    password; Java has no option for that.
    """
    user = f"moat:{token}@" if token else ""
    direct = tuple(not_proxied)
    proxy = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), f"http://{user}{host}:{port}")
    proxy["NO_PROXY"] = ",".join(direct)
    return {
        **proxy,
        **{name.lower(): value for name, value in proxy.items()},
        **dict.fromkeys(CA_VARIABLES, bundle),
        **_TOLD_ONCE,
        JAVA_OPTIONS: _java_options(java_store, host, port, direct),
    }


def _java_options(store: str, host: str, port: int, not_proxied: Iterable[str]) -> str:
    direct = "|".join(f"[{name}]" if ":" in name else name for name in not_proxied)
    properties = {
        "javax.net.ssl.trustStore": store,
        "javax.net.ssl.trustStoreType": "PKCS12",
        "http.proxyHost": host,
        "http.proxyPort": str(port),
        "https.proxyHost": host,
        "https.proxyPort": str(port),
        "http.nonProxyHosts": direct,  # of https too
    }
    return " ".join(_quoted(f"-D{name}={value}") for name, value in properties.items())


def _quoted(option: str) -> str:
    """An option as the JVM reads it: it splits at spaces, and knows quotes but no escapes."""
    if not any(character.isspace() or character in "'\"" for character in option):
        return option
    return '"' + option.replace('"', '"\'"\'"') + '"'
