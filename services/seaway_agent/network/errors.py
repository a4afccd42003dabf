"""Errors of a node's networking. Each message names the object and the remedy."""


class NetworkError(Exception):
    """Base of all errors of this package."""


class NetlinkError(NetworkError):
    """The kernel refused a netlink request; ``code`` is the positive errno."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class AddressError(NetworkError):
    """An address can't be allocated: taken, outside the subnet, or the subnet is full."""


class SubnetError(NetworkError):
    """No usable subnet, or the configured one clashes with the host."""


class SandboxGone(NetworkError):
    """The process that kept a network sandbox has ended, or left it."""


class PortError(NetworkError):
    """A host port can't be allocated. Clients match Docker's text."""


class PortInvalid(NetworkError):
    """A request for a published port is invalid."""


class NatError(NetworkError):
    """nftables refused the node's table."""
