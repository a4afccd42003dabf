"""The certificate of the lab's server, and the CA that has signed it, by openssl."""

import subprocess
from pathlib import Path
from typing import Final

from deploy.lab.errors import LabError

_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365")


def make(directory: Path, address: str) -> None:
    """Write `ca.pem`, `cert.pem` and `key.pem` for a server at that address. Raises LabError."""
    ca, ca_key = directory / "ca.pem", directory / "ca-key.pem"
    signs = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl("-subj", "/CN=lab CA", *signs, "-keyout", ca_key, "-out", ca)
    serves = ("-addext", "basicConstraints=critical,CA:FALSE", "-addext", f"subjectAltName=IP:{address}")
    files = ("-keyout", directory / "key.pem", "-out", directory / "cert.pem")
    _openssl("-CA", ca, "-CAkey", ca_key, "-subj", "/CN=lab", *serves, *files)


def _openssl(*words: str | Path) -> None:
    done = subprocess.run(["openssl", "req", "-x509", *_KEY, *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"openssl can't make a certificate: {done.stderr.strip()}")
