"""Commands that wait for an outcome of their container's machine."""

import asyncio
from collections.abc import Callable

from seaway_agent.core.instructions import Answer, Waiter
from seaway_bus.bus import Command
from seaway_contracts.containers import ContainerStatus


class Answers:
    """`sent`: when the events that were recorded are on the bus; None: they are already (`Journal.sent`)."""

    def __init__(self, sent: Callable[[], "asyncio.Future[None] | None"]) -> None:
        self._sent = sent
        self._waiting: dict[str, asyncio.Future[ContainerStatus]] = {}

    async def of(self, command: Command, begin: Callable[[Waiter], None]) -> ContainerStatus:
        """The status that the command leads to; a repeat of it waits for the same one. Raises the machine's error.

        `begin` puts the command to the machine; what it raises is raised.
        """
        waiting = self._waiting.get(command.id)
        if waiting is None:
            waiting = self._waiting[command.id] = asyncio.get_running_loop().create_future()
            try:
                begin(Waiter(command.id, command.actor))
            except BaseException:
                del self._waiting[command.id]
                raise
        try:
            return await asyncio.shield(waiting)
        finally:
            if waiting.done():
                self._waiting.pop(command.id, None)

    def give(self, answer: Answer) -> None:
        """Answer behind the events that report the outcome, so that whoever has it finds the outcome everywhere."""
        sent = self._sent()
        if sent is None:
            self._settle(answer)
        else:
            sent.add_done_callback(lambda _: self._settle(answer))

    def _settle(self, answer: Answer) -> None:
        waiting = self._waiting.get(answer.waiter.command)
        if waiting is None or waiting.done():
            return
        if answer.error is not None:
            waiting.set_exception(answer.error)
            waiting.exception()  # retrieved, so that asyncio logs nothing where nobody waits
        else:
            waiting.set_result(answer.status)
