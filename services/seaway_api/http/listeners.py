"""What the API serves on: sockets that somebody else made and keeps, and sockets of its own."""

import socket
import ssl
from collections.abc import Iterator, Sequence

from seaway_api.settings import ApiSettings
from seaway_kit.addresses import TCP, UNIX, join_address
from seaway_kit.listeners import Listener, listen_on, take_sockets


def listeners(settings: ApiSettings, lent: Sequence[Listener]) -> Iterator[Listener]:
    """Those that are `lent` by the parent; else those that systemd made, and the settings' own beside them.

    What comes to a lent one or systemd's while this process restarts waits there. Raises OSError with a sentence.
    """
    if lent:
        yield from lent
        return
    passed = take_sockets()
    for made in passed:
        yield Listener(host_of(made, settings), made)
    for host in settings.host if passed else settings.hosts:
        yield listen_on(host, settings.socket_group)


def host_of(listener: socket.socket, settings: ApiSettings) -> str:
    """What a passed socket listens on, as `--host` would say it. Raises OSError for one that would let anybody in."""
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{listener.getsockname()}"
    host = TCP + join_address(*listener.getsockname()[:2])
    try:
        settings.check_host(host)
    except ValueError as error:
        raise OSError(str(error)) from error
    return host


def tls_context(settings: ApiSettings) -> ssl.SSLContext | None:
    """TLS for the TCP endpoints, with a check of the client's certificate where a CA is given. Raises OSError."""
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
        if settings.tls_ca is not None:
            context.load_verify_locations(settings.tls_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise OSError(f"can't use the TLS files ({settings.tls_cert}, …): {error}") from error
    return context
