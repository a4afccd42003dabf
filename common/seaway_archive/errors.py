"""What can be wrong with an archive. Each is a `SeawayError`, so it crosses the bus as it is. Pure."""

from seaway_contracts.errors import Code, SeawayError


class ArchiveRejected(SeawayError):
    """The archive is malformed, hostile or of an unsupported kind; another try gives the same."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.BAD_REQUEST, message)


class ArchiveTruncated(ArchiveRejected):
    """The archive ends too early."""


class CompressionRejected(ArchiveRejected):
    """The compressed data is damaged, or of a kind that isn't accepted."""


class ArchiveTooLarge(SeawayError):
    """The archive passes a limit."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.TOO_LARGE, message)


def malformed(what: str) -> ArchiveRejected:
    """The error for a tar whose headers make no sense."""
    return ArchiveRejected(f"the archive is malformed: {what}")


def shown(name: bytes) -> str:
    """`name` fit for an error message: printable and at most 200 characters."""
    text = name[:200].decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return f"{text}…" if len(name) > 200 else text
