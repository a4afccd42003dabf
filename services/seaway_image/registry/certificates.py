"""Certificates for registries, from a directory laid out as Docker's `certs.d`: `HOST[:PORT]/*.crt`, `*.cert`, `*.key`.

`*.crt` are CAs beside the system's, `NAME.cert` with `NAME.key` a certificate by which this side shows who it is. The
files are looked at for each request, so a change counts from then on. Rules and words are those of moby 26.1,
`registry.ReadCertsDirectory`.
"""

import logging
import os
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from seaway_contracts.errors import SeawayError, bad_request, internal

log = logging.getLogger(__name__)
_CA: Final = ".crt"
_CERT: Final = ".cert"
_KEY: Final = ".key"
_NO_KEY: Final = "missing key {key} for client certificate {cert}. CA certificates must use the extension .crt"
_NO_CERT: Final = "missing client certificate {cert} for key {key}"


@dataclass(frozen=True)
class _File:
    """A file, and what tells whether it is still the same."""

    path: Path
    stamp: tuple[int, int, int]

    @classmethod
    def of(cls, path: Path) -> "_File":
        found = path.stat()
        return cls(path, (found.st_mtime_ns, found.st_size, found.st_ino))


@dataclass(frozen=True)
class _Pair:
    certificate: _File
    key: _File


def host_context(directory: Path, *, client: bool) -> ssl.SSLContext | None:
    """The TLS context for the host of this directory, None where it holds nothing. It reads files.

    `client`: with the host's client certificates, which are for the registry that a user named and for no host that a
    registry names. Raises SeawayError: BAD_REQUEST for a certificate without key or a key without certificate, INTERNAL
    for files that can't be used.
    """
    try:
        names = {entry.name for entry in os.scandir(directory)}
        cas = tuple(_File.of(directory / name) for name in sorted(names) if Path(name).suffix == _CA)
        pairs = tuple(_pairs(directory, names)) if client else ()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(error) from error
    return _context(cas, pairs) if cas or pairs else None


def _pairs(directory: Path, names: set[str]) -> list[_Pair]:
    found = []
    for name in sorted(names):
        stem, suffix = Path(name).stem, Path(name).suffix
        cert, key = f"{stem}{_CERT}", f"{stem}{_KEY}"
        if suffix == _CERT and key not in names:
            raise bad_request(_NO_KEY.format(key=key, cert=cert))
        if suffix == _KEY and cert not in names:
            raise bad_request(_NO_CERT.format(key=key, cert=cert))
        if suffix == _CERT:
            found.append(_Pair(_File.of(directory / cert), _File.of(directory / key)))
    return found


@lru_cache(maxsize=64)
def _context(cas: tuple[_File, ...], pairs: tuple[_Pair, ...]) -> ssl.SSLContext:
    """The same for the same files, as connections are shared only below one context."""
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # CAs made by hand seldom state their key usage; Docker takes them
    for ca in cas:
        _trust(context, ca.path)
    for pair in reversed(pairs):  # OpenSSL keeps one for each type of key, the last: so the first by name counts
        _present(context, pair)
    return context


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        log.warning("%s holds no CA certificate in PEM form and is passed over: %s", ca, error.reason or error)
    except OSError as error:
        raise _unreadable(error, ca) from error


def _present(context: ssl.SSLContext, pair: _Pair) -> None:
    cert, key = pair.certificate.path, pair.key.path
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        why = "private key does not match public key" if error.reason == "KEY_VALUES_MISMATCH" else None
        told = why or f"no certificate and key in PEM form, without a password ({error.reason or error})"
        raise internal(f"client certificate {cert}: tls: {told}") from error
    except OSError as error:
        raise _unreadable(error, _first_unreadable(cert, key)) from error


def _no_password() -> str:
    """In place of OpenSSL's question at the terminal."""
    return ""


def _first_unreadable(*files: Path) -> Path:
    return next((file for file in files if not os.access(file, os.R_OK)), files[0])


def _unreadable(error: OSError, file: Path | None = None) -> SeawayError:
    return internal(f"open {file or error.filename}: {(error.strerror or str(error)).lower()}")
