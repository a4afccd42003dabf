"""A service for test_service_shell.py: `shell_service.py MODE [--nats …]`."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from seaway_contracts.errors import unavailable
from seaway_kit.service import ServiceContext, run_service
from seaway_kit.settings import ServiceSettings, load_settings


async def fail_soon() -> None:
    raise RuntimeError("the sky is falling")


@contextlib.asynccontextmanager
async def well(_: ServiceContext) -> AsyncIterator[None]:
    print("enter", flush=True)
    try:
        yield
    finally:
        print("leave", flush=True)


@contextlib.asynccontextmanager
async def fails_later(context: ServiceContext) -> AsyncIterator[None]:
    context.tasks.eternal("sky", fail_soon())
    async with well(context):
        yield


@contextlib.asynccontextmanager
async def patient(context: ServiceContext) -> AsyncIterator[None]:
    print("works", flush=True)
    await context.joined
    async with well(context):
        yield


@contextlib.asynccontextmanager
async def refuses(_: ServiceContext) -> AsyncIterator[None]:
    raise unavailable("the moon is not up; wait for it")
    yield


@contextlib.asynccontextmanager
async def stubborn(context: ServiceContext) -> AsyncIterator[None]:
    async with well(context):
        try:
            yield
        finally:
            await asyncio.sleep(60)


if __name__ == "__main__":
    mode = sys.argv[1]
    build = {"well": well, "fails": fails_later, "refuses": refuses, "stubborn": stubborn, "patient": patient}[mode]
    settings = load_settings(ServiceSettings, sys.argv[2:], prog="seaway-test")
    sys.exit(run_service("test", settings, build, without_bus=mode == "patient"))
