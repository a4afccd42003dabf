import asyncio
from pathlib import Path
from typing import Any

import pytest

from seaway_contracts.errors import SeawayError
from seaway_image.oci.digests import Digest, digest_of
from seaway_image.store import known_layers
from seaway_image.store.image_store import ImageStore
from seaway_image.store.layers import LayerFacts


async def test_who_wants_a_layer_at_once_waits_for_one_look(
    store: ImageStore, make_image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that hangs up and asks again doesn't have it inflated twice."""
    layer = (await store.blobs.put(make_image().blobs[0])).digest
    looks, go_on = 0, asyncio.Event()
    measure = known_layers.measure_layer

    async def slowly(path: Path) -> LayerFacts:
        nonlocal looks
        looks += 1
        await go_on.wait()
        return await measure(path)

    monkeypatch.setattr(known_layers, "measure_layer", slowly)
    asking = [asyncio.create_task(store.facts(layer)) for _ in range(5)]
    await asyncio.sleep(0)
    asking.pop(0).cancel()
    go_on.set()
    found = await asyncio.gather(*asking)
    assert found == [LayerFacts(digest_of(make_image().layers[0]), 5)] * 4
    assert looks == 2, "one was given up"


async def test_a_layer_that_is_not_here(store: ImageStore) -> None:
    with pytest.raises(SeawayError, match="not in the image store"):
        await store.facts(Digest(digest_of(b"nothing")))
