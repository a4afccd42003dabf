"""From what a handler raises to what the client is told."""

import logging

from aiohttp import web

from seaway_api.http import replies
from seaway_contracts.errors import SeawayError, unavailable
from seaway_docker.errors import InvalidParameter

log = logging.getLogger(__name__)


class ApiError(Exception):
    """An answer other than success that this service decides itself."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def status_and_text(error: Exception) -> tuple[int, str]:
    """The HTTP status and Docker's sentence."""
    if isinstance(error, SeawayError | ApiError):
        return error.status, error.message
    if isinstance(error, InvalidParameter):
        return 400, str(error)
    return 500, f"the API failed: {error or type(error).__name__}"


def bus_away(trouble: str) -> SeawayError:
    """Nothing can be asked of the cluster just now, for that reason."""
    return unavailable(f"the bus is away: {trouble}; try again when it is back")


def reply(error: Exception) -> web.Response:
    """The answer; what nobody expected is logged with its traceback."""
    status, text = status_and_text(error)
    if not isinstance(error, SeawayError | ApiError | InvalidParameter):
        log.error("a request failed: %s", error, exc_info=error)
    response = replies.error(status, text)
    if status == 413:
        response.force_close()
    return response
