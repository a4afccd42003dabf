"""Builds of images by a Dockerfile of ten steps, by `POST /build`: anew, and from the cache."""

import time
from collections.abc import Mapping

from client import Client
from measure import IMAGE, Samples, quiet

from seaway_testing.packing import tar_of

STEPS = 10


async def builds(engines: Mapping[str, Client], rounds: int) -> tuple[Samples, Samples]:
    """Milliseconds of a build of ten steps, uncached and cached, in turn."""
    anew: Samples = {name: [] for name in engines}
    cached: Samples = {name: [] for name in engines}
    for number in range(rounds):
        for name, client in engines.items():
            context = _context(number)
            await quiet()
            for samples in (anew, cached):
                begin = time.perf_counter()
                said = await client.request("POST", "/build?t=bench-build&rm=1", context)
                samples[name].append((time.perf_counter() - begin) * 1000)
                assert b"Successfully built" in said, said
            assert said.count(b"Using cache") == STEPS - 1, said
            await client.request("DELETE", "/images/bench-build?force=1")
    return anew, cached


def _context(number: int) -> bytes:
    """Five RUNs, two COPYs, two that only change the config, and the FROM."""
    steps = [f"FROM {IMAGE}", f"ENV ROUND={number}", "COPY a /a/", "WORKDIR /w"]
    steps += [f"RUN echo {number} >{step} && cat /a/f >>{step}" for step in range(5)]
    steps.append("COPY a /b/")
    files = {"Dockerfile": "\n".join(steps).encode(), "a/f": b"x" * 4096, "a/g": b"y" * 65536}
    return tar_of(files)
