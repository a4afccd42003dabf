"""Where the API, NATS and the image service may listen. Pure."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from seaway_cli.errors import usage
from seaway_kit.addresses import check_host, join_address

LOOPBACK: Final = "127.0.0.1"


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


@dataclass(frozen=True)
class Listen:
    """Where NATS and the image service listen: on loopback or, with TLS, where other machines' agents reach them."""

    host: str = LOOPBACK
    tls: Tls = field(default_factory=Tls)

    @property
    def open(self) -> bool:
        """Whether other machines reach it."""
        return self.host != LOOPBACK

    @property
    def ca(self) -> str:
        """The file by which an agent knows the certificates; empty without TLS."""
        return self.tls.ca if self.open else ""

    def nats_url(self, port: int) -> str:
        """How NATS is reached, by all."""
        return f"{'tls' if self.open else 'nats'}://{join_address(self.host, port)}"


def check_listen(listen: Listen) -> None:
    """Raise CliError for an address that other machines can't reach, or one without TLS."""
    if not listen.open:
        return
    try:
        unspecified = ipaddress.ip_address(listen.host).is_unspecified
    except ValueError:
        unspecified = not listen.host or "/" in listen.host or ":" in listen.host
    if unspecified:
        raise usage(f"--listen {listen.host}: give one address of this machine, by which other machines know it")
    if not (listen.tls.cert and listen.tls.key and listen.tls.ca):
        raise usage(
            f"--listen {listen.host} opens NATS and the images to other machines: it needs --tlscert and --tlskey, "
            "a certificate for that address, and --tlscacert, the CA that has signed it"
        )


def check_tls(tls: Tls) -> None:
    """Raise CliError unless the options belong together."""
    if tls.given and not (tls.cert and tls.key):
        raise usage("TLS needs both --tlscert and --tlskey")
    if tls.verify and not tls.ca:
        raise usage("--tlsverify needs --tlscacert, the CA that has signed the clients' certificates")


def check_hosts(hosts: Sequence[str], tls: Tls) -> None:
    """Raise CliError for an address that can't be served, or one open to others without client certificates."""
    needs = "--tlsverify with --tlscacert, --tlscert and --tlskey"
    for host in hosts:
        try:
            check_host(host, verified=tls.authenticates, needs=needs)
        except ValueError as error:
            raise usage(f"--host {error}") from None
