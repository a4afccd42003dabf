"""What can go wrong with a root file system. Each is a `SeawayError`, so it crosses the bus as it is."""

from seaway_contracts.errors import Code, SeawayError


class LayerRejected(SeawayError):
    """The layer is malformed or hostile; another try gives the same."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.BAD_REQUEST, message)


class LayerTooLarge(SeawayError):
    """The layer passes one of the `Limits`."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.TOO_LARGE, message)


class DigestMismatch(LayerRejected):
    """The bytes that came are not the bytes that were promised."""


class StorageFull(SeawayError):
    """The disk that holds the layers has no space or no inodes left."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.NO_SPACE, message)


class UserUnknown(SeawayError):
    """The user or group of a container cannot be resolved in its image."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.INTERNAL, message)
