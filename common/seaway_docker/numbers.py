"""Numbers in queries and filters, as Go reads them. Pure."""

from seaway_docker.errors import InvalidParameter


def parse_int(text: str) -> int:
    """A decimal number of at most 18 digits. Raises InvalidParameter with Go's sentence."""
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise InvalidParameter(f'strconv.Atoi: parsing "{text[:64]}": invalid syntax')
    return int(text)
