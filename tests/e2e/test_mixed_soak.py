"""Several users who do all kinds of things at once, at random: each finds what must hold after what it did itself.

`SEAWAY_MIXED` says how many things each does (60 if it isn't set: some ten seconds). dockerd doesn't pass: it
keeps 256 events, and now and then has no stats of a container that runs.
"""

import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from e2e_rig.api import Api
from e2e_rig.random_user import RandomUser
from e2e_rig.registry import Registry

COUNT = int(os.environ.get("SEAWAY_MIXED", "60"))
USERS = 6


@pytest.mark.seaway_only
@pytest.mark.timeout(900)
def test_each_finds_what_it_did(api: Api, registry: Registry) -> None:
    seed = int(os.environ.get("SEAWAY_MIXED_SEED") or random.getrandbits(32))
    repository = f"{registry.address}/lib/busybox"
    users = [RandomUser([api], f"user{number}", repository, seed) for number in range(USERS)]

    def act(user: RandomUser) -> Counter[str]:
        return Counter(user.step() for _ in range(COUNT))

    try:
        with ThreadPoolExecutor(USERS) as pool:
            done = list(pool.map(act, users))
        for user in users:
            user.leave()
    finally:
        api.request("DELETE", f"/images/{repository}:1")
    assert sum(map(Counter.total, done)) == USERS * COUNT
    assert api.containers() == []
