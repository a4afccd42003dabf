"""What can go wrong in a node's networking. Each message names the thing and what to do about it."""


class NetworkError(Exception):
    """Base of all errors of this package."""


class NetlinkError(NetworkError):
    """The kernel refused a netlink request; ``code`` is the positive errno."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class AddressError(NetworkError):
    """An address can't be handed out: taken, outside the subnet, or the subnet is full."""


class SubnetError(NetworkError):
    """No usable subnet, or the configured one clashes with the host."""


class SandboxGone(NetworkError):
    """The process whose network sandbox was to be adopted has ended."""


class PortError(NetworkError):
    """A host port can't be had. The text is Docker's own, clients match on it."""


class PortInvalid(NetworkError):
    """A request for a published port makes no sense."""


class NatError(NetworkError):
    """nftables refused the node's table."""
