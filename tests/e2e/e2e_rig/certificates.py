"""A certificate authority of our own, with what it has signed, by openssl."""

import subprocess
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


class Authority:
    """Files in `directory`: ca.pem, and for each name NAME/{ca,cert,key}.pem, as `DOCKER_CERT_PATH` wants them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self.ca = directory / "ca.pem"
        self._ca_key = directory / "ca-key.pem"
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl("req", "-x509", *_KEY, *usage, "-subj", "/CN=test CA", "-keyout", self._ca_key, "-out", self.ca)

    def sign(self, name: str, *addresses: str) -> Path:
        """A certificate for a server at these addresses, or for a client; its directory."""
        place = self._directory / name
        place.mkdir()
        usage = "serverAuth" if addresses else "clientAuth"
        extensions = ["basicConstraints=critical,CA:FALSE", f"extendedKeyUsage={usage}"]
        if addresses:
            extensions.append(f"subjectAltName={','.join(f'IP:{address}' for address in addresses)}")
        extra = [word for extension in extensions for word in ("-addext", extension)]
        signed = ["-x509", "-CA", self.ca, "-CAkey", self._ca_key]
        files = ["-keyout", place / "key.pem", "-out", place / "cert.pem"]
        _openssl("req", *_KEY, *signed, "-subj", f"/CN={name}", *extra, *files)
        (place / "ca.pem").write_bytes(self.ca.read_bytes())
        return place


def _openssl(*words: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
