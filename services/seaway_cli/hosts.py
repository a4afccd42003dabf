"""Where the API may listen. Pure."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from seaway_cli.errors import usage
from seaway_kit.addresses import split_address


@dataclass(frozen=True)
class Tls:
    """The API's certificate files. `verify` asks clients for certificates that `ca` has signed."""

    cert: str = ""
    key: str = ""
    ca: str = ""
    verify: bool = False

    @property
    def given(self) -> bool:
        """Whether any of it was asked for."""
        return bool(self.cert or self.key or self.ca or self.verify)

    @property
    def authenticates(self) -> bool:
        """Whether only clients with a certificate get in."""
        return bool(self.cert and self.key and self.ca and self.verify)


def check_tls(tls: Tls) -> None:
    """Raise CliError unless the options belong together."""
    if tls.given and not (tls.cert and tls.key):
        raise usage("TLS needs both --tlscert and --tlskey")
    if tls.verify and not tls.ca:
        raise usage("--tlsverify needs --tlscacert, the CA that has signed the clients' certificates")


def check_hosts(hosts: Sequence[str], tls: Tls) -> None:
    """Raise CliError for an address that can't be served, or one open to others without client certificates."""
    for host in hosts:
        scheme, separator, rest = host.partition("://")
        if not separator or scheme not in ("unix", "tcp"):
            raise usage(f"--host {host}: write unix:///PATH or tcp://ADDRESS:PORT")
        if scheme == "unix":
            _check_unix(host, rest)
        else:
            _check_tcp(host, rest, tls)


def _check_unix(host: str, path: str) -> None:
    if not path.startswith("/"):
        raise usage(f"--host {host}: the path must begin with / (unix:///run/seaway/docker.sock)")
    if len(path.encode()) > 107:
        raise usage(f"--host {host}: a socket's path may have 107 bytes, this one has {len(path.encode())}")


def _check_tcp(host: str, address: str, tls: Tls) -> None:
    try:
        name, _ = split_address(address)
    except ValueError as error:
        raise usage(f"--host {host}: {error}") from None
    if not _is_loopback(name) and not tls.authenticates:
        raise usage(
            f"--host {host} is open to other machines, and whoever reaches it is root here: "
            "it needs --tlsverify with --tlscacert, --tlscert and --tlskey"
        )


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
