"""One request to a provider, through the same door as the proxy's: roots and `connect_to`."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping

from moat.config.settings import Upstream
from moat.pki.trust import upstream_context

_MAX_BODY = 64 * 1024


class HttpFailed(Exception):
    """No answer was to be had; the text says why."""


class _Connection(http.client.HTTPSConnection):
    """Dials where `connect_to` says; name, SNI and certificate check stay with the host."""

    def __init__(self, host: str, upstream: Upstream, *, timeout: float) -> None:
        self._tls = upstream_context(upstream.ca_file)
        super().__init__(host, timeout=timeout, context=self._tls)
        self.was_cut = False
        self._dial = dict(upstream.connect_to).get((host, 443), (host, 443))

    def cut(self) -> None:
        """End it now, from another thread."""
        self.was_cut = True
        with contextlib.suppress(OSError, AttributeError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def connect(self) -> None:
        # Known before it is wrapped, so that it is closed when that fails.
        self.sock = socket.create_connection(self._dial, self.timeout)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)


def get_status(
    host: str, path: str, headers: Mapping[str, str], *, upstream: Upstream, timeout: float
) -> tuple[int, bytes]:
    """The status and the beginning of the body of a GET over https. Raises HttpFailed.

    Redirects are not followed: the headers may hold a credential.
    """
    connection = _Connection(host, upstream, timeout=timeout)
    # The time limit of a socket begins anew with every byte.
    limit = threading.Timer(timeout, connection.cut)
    limit.daemon = True
    limit.start()
    too_late = f"{host} did not answer within {timeout:.0f} s"
    try:
        connection.request("GET", path, headers={"User-Agent": "moat", **headers})
        response = connection.getresponse()
        status, body = response.status, response.read(_MAX_BODY)
    except ssl.SSLCertVerificationError as error:
        raise HttpFailed(
            f"the certificate of {host} is not trusted: {error.verify_message}"
        ) from error
    except TimeoutError as error:
        raise HttpFailed(too_late) from error
    except (OSError, http.client.HTTPException) as error:
        if connection.was_cut:
            raise HttpFailed(too_late) from None
        if isinstance(error, OSError):
            raise HttpFailed(f"{host} cannot be reached: {error.strerror or error}") from error
        # Not its text: a server may say anything there, our headers included.
        raise HttpFailed(f"{host} gave no proper answer ({type(error).__name__})") from None
    finally:
        limit.cancel()
        connection.close()
    if connection.was_cut:
        raise HttpFailed(too_late)
    return status, body
