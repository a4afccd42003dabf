"""TLS between Seaway's own processes: certificates of a CA that the user names."""

import ssl
from pathlib import Path


def trusting(ca: Path) -> ssl.SSLContext:
    """The context of a client that trusts this CA alone. Raises OSError."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise OSError(f"can't use the CA in {ca}: {error}") from error
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # CAs made by hand seldom state their key usage
    return context


def serving(certificate: Path, key: Path) -> ssl.SSLContext:
    """The context of a server with this certificate. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise OSError(f"can't use the certificate {certificate} with the key {key}: {error}") from error
    return context
