"""What a user is told where records can't be reached."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from seaway_bus.transport import NoResponders, NoSpace, TransportError
from seaway_contracts.errors import Code, SeawayError, unavailable

_NO_STORE: Final = "the bus can't store anything just now (it starts, or most of its servers are away); try again"
_FULL: Final = "the bus has no space left to store records; free disk space on its host"


@contextlib.contextmanager
def reachable(missing: Callable[[], None]) -> Iterator[None]:
    """A bucket that can't be reached is no fault of the caller, who may try again. `missing`: called without one."""
    try:
        yield
    except TransportError as error:
        if isinstance(error, NoResponders):
            missing()
            raise unavailable(_NO_STORE) from error
        if isinstance(error, NoSpace):
            raise SeawayError(Code.NO_SPACE, _FULL) from error
        raise unavailable(f"the records can't be reached just now: {error}; try again") from error
