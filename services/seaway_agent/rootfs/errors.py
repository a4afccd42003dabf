"""Errors of root file systems. Each is a `SeawayError`, so it crosses the bus unchanged."""

from seaway_contracts.errors import Code, SeawayError


class LayerRejected(SeawayError):
    """The layer is malformed or hostile; a retry does not help."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.BAD_REQUEST, message)


class LayerTooLarge(SeawayError):
    """The layer exceeds one of the `Limits`."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.TOO_LARGE, message)


class DigestMismatch(LayerRejected):
    """The received bytes don't have the announced digest or size."""


class StorageFull(SeawayError):
    """The disk that holds the layers has no space or no inodes left."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.NO_SPACE, message)


class UserUnknown(SeawayError):
    """The user or group of a container cannot be resolved in its image."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.INTERNAL, message)
