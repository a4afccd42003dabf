"""Why a request to a registry failed, in the words of Docker's HTTP client where it has some."""

import errno
import os
import re
import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

import aiohttp

_ALERT: Final = re.compile(r"\[SSL: \w*?ALERT_(\w+)\]")
"""What the other side said, in OpenSSL's word for it: `[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] …`."""
_CONNECT: Final = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)


def is_final(error: BaseException) -> bool:
    """Whether the same request would fail in the same way: the other side refused our side's certificate, or TLS."""
    return _alert(error) is not None or isinstance(error, aiohttp.ClientHttpProxyError)


def describe(error: BaseException, url: str) -> str:
    """What failed in a request to `url`."""
    parts = urlsplit(url)
    address = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return error.message or f"proxy answered {error.status}"
    if (alert := _alert(error)) is not None:
        return f"remote error: tls: {alert}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"proxyconnect tcp: {_of_system(error, f'{error.host}:{error.port}')}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: x509: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {parts.hostname}: {_of_lookup(error.os_error)}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"tls: handshake with {address} failed: {error.os_error}"
    if isinstance(error, aiohttp.ServerTimeoutError | TimeoutError):
        return f"dial tcp {address}: i/o timeout"
    if isinstance(error, aiohttp.ClientOSError | OSError):
        return _of_system(error, address)
    return f"{error or type(error).__name__}"


def _of_system(error: OSError, address: str) -> str:
    what = "connect: " if error.errno in _CONNECT else ""
    return f"dial tcp {address}: {what}{_strerror(error).lower() or error}"


def _of_lookup(error: OSError) -> str:
    """Our own resolver's reason is a sentence, the system's a number."""
    return _strerror(error) if isinstance(error, socket.gaierror) else error.strerror or "no such host"


def _alert(error: BaseException) -> str | None:
    for one in (error, error.__cause__, getattr(error, "os_error", None)):
        if isinstance(one, ssl.SSLError | aiohttp.ClientOSError) and (found := _ALERT.search(str(one))):
            return found[1].lower().replace("_", " ")
    return None


def _strerror(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host" if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA) else str(error.strerror)
    return os.strerror(error.errno) if error.errno and error.errno > 0 else ""
