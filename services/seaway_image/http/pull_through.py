"""What is not here comes from the registry of its name: pulled as by `docker pull`, and then it is here."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from seaway_contracts.builds import BASES, BUILT
from seaway_contracts.errors import SeawayError
from seaway_docker.references import Reference
from seaway_image.http.access import Rights
from seaway_image.registry.endpoints import is_forbidden_address
from seaway_image.registry.pull import PullOrder, Pulls
from seaway_kit.addresses import is_loopback

log = logging.getLogger(__name__)
_REMEMBER_S: Final = 10.0
_MOST: Final = 1024


class PullThrough:
    """Pulls on behalf of who asks at `/v2/`."""

    def __init__(self, pulls: Pulls, now: Callable[[], float] = time.monotonic) -> None:
        self._pulls = pulls
        self._now = now
        self._failed: OrderedDict[tuple[str, bool], tuple[float, str]] = OrderedDict()

    async def pull(self, reference: Reference, rights: Rights, gone: Callable[[], bool]) -> str:
        """Try to have it here; says why it isn't, empty if it is. A failure is remembered for a moment.

        `gone`: whether who asked has gone; then the pull ends, unless others want it too.
        """
        if not rights.fetch:
            return "it is not pulled for you"
        if reference.name.startswith((BASES, BUILT)):
            return "names of builds are this service's own"
        host = urlsplit(f"//{reference.domain}").hostname or ""
        if not rights.local and (is_loopback(host) or is_forbidden_address(host)):
            return "registries on this machine are not asked for you"
        key = (reference.canonical, rights.local)
        until, why = self._failed.get(key, (0.0, ""))
        if until > self._now():
            return why
        wanted = replace(reference, tag=None) if reference.digest else reference
        order = PullOrder(wanted, cause=rights.by.command, actor=rights.by.actor, outside=not rights.local)
        try:
            async with aclosing(self._pulls.pull(order)) as lines:
                async for _ in lines:
                    if gone():
                        return "nobody waits for it any longer"
        except SeawayError as error:
            log.info("%s was asked for at /v2/ and can't be pulled: %s", reference.familiar, error)
            self._failed[key] = (self._now() + _REMEMBER_S, error.message)
            if len(self._failed) > _MOST:
                self._failed.popitem(last=False)
            return error.message
        self._failed.pop(key, None)
        return ""
