"""R4: the image service killed at random moments of pushes. A plain retry works, and nothing is left."""

import http.client
import random
import threading
import time
from pathlib import Path

import pytest
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.scale import SEED, scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig import images
from e2e_rig.registry import Registry

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
_AUTH = {"X-Registry-Auth": "e30="}
_BYTES = 32 << 20
_LATEST_S = 0.6


def _image(number: int, chance: random.Random) -> bytes:
    """Of a size that a push takes some time for."""
    layer = images.Layer()
    layer.file(f"file{number}", chance.randbytes(_BYTES))
    return images.archive([images.busybox_layer(), layer.bytes()], {"Cmd": ["sh"]}, [f"pushed:{number}"])


def _push(suite: ChaosSuite, path: str) -> bytes:
    try:
        return suite.api.request("POST", path, None, _AUTH, timeout=60).body
    except (OSError, http.client.HTTPException) as error:
        return str(error).encode()


def test_r4_image_killed_in_pushes(suite: ChaosSuite, client: Client, registry: Registry, figures: Figures) -> None:
    chance, kills, broken = random.Random(SEED), scaled(50, 4), 0
    for number in range(kills):
        archive = _image(number, chance)
        loaded = suite.api.request("POST", "/images/load?quiet=1", archive, {"Content-Type": "application/x-tar"})
        assert loaded.status == 200 and b"error" not in loaded.body, loaded
        name = f"{registry.address}/chaos/pushed"
        assert client.steadily("POST", f"/images/pushed:{number}/tag?repo={name}&tag={number}").status == 201
        path = f"/images/{name}/push?tag={number}"
        said: list[bytes] = []
        pushing = threading.Thread(target=lambda path=path, said=said: said.append(_push(suite, path)))
        pushing.start()
        time.sleep(chance.uniform(0, _LATEST_S))
        old = suite.kill("image")
        pushing.join()
        broken += b'"aux"' not in said[0]
        suite.restarted("image", old)
        suite.whole()
        assert b'"aux"' in _push(suite, path)
        assert _left(suite) == []
        assert client.steadily("DELETE", f"/images/pushed:{number}?force=1").status == 200
        assert client.steadily("DELETE", f"/images/{name}:{number}?force=1").status == 200
    figures.show("R4", f"image killed in {kills} pushes, of which {broken} broke off: each retry went through")


def _left(suite: ChaosSuite) -> list[Path]:
    """What is half-made in the store."""
    return list((suite.root / "image" / "tmp").iterdir())
