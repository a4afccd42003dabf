"""Many short containers, 16 in flight: each exactly once, in order, and nothing of them is left (the leak check).

`SEAWAY_SOAK` says how many (300 if it isn't set; 2,000 take one to two minutes).
"""

import os
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
from e2e_rig.api import Api, EventStream, filters

COUNT = int(os.environ.get("SEAWAY_SOAK", "300"))
IN_FLIGHT = 16
LIFE = ["create", "start", "die", "destroy"]


class Watcher:
    """Reads the events of all containers beside the test, until `expected` of them are destroyed."""

    def __init__(self, api: Api, expected: int) -> None:
        self.lives: dict[str, list[str]] = defaultdict(list)
        self.codes: dict[str, str] = {}
        self._expected = expected
        self._stream = EventStream(api, filters(type="container", label="soak", event=LIFE))
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        destroyed = 0
        for event in self._stream:
            self.lives[event["id"]].append(event["Action"])
            if event["Action"] == "die":
                self.codes[event["id"]] = event["Actor"]["Attributes"]["exitCode"]
            destroyed += event["Action"] == "destroy"
            if destroyed == self._expected:
                return

    def finish(self) -> None:
        """Wait for the last event; 30 s without any end the reading."""
        self._thread.join()
        self._stream.close()


def live(api: Api, number: int) -> tuple[str, int]:
    """One container's whole life; its id and exit code. Every third has a network, every fourth removes itself."""
    code, removes_itself = number % 100, number % 4 == 0
    host = {"NetworkMode": "bridge" if number % 3 == 0 else "none", "AutoRemove": removes_itself}
    body = {"Image": "busybox", "Cmd": ["sh", "-c", f"echo {number}; exit {code}"], "HostConfig": host}
    made = api.request("POST", "/containers/create", body | {"Labels": {"soak": str(number)}})
    assert made.status == 201, made
    identifier = str(made.json()["Id"])
    path = f"/containers/{identifier}"
    started = api.request("POST", f"{path}/start")
    assert started.status == 204, started
    if removes_itself:
        return identifier, code
    waited = api.request("POST", f"{path}/wait")
    assert waited.status == 200, waited
    log = api.request("GET", f"{path}/logs?stdout=1")
    assert log.body[8:] == f"{number}\n".encode(), log
    removed = api.request("DELETE", path)
    assert removed.status == 204, removed
    assert waited.json()["StatusCode"] == code
    return identifier, code


@pytest.mark.timeout(900)
def test_each_lives_once_and_in_order(api: Api) -> None:
    watcher = Watcher(api, COUNT)
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        lived = dict(pool.map(lambda number: live(api, number), range(COUNT)))
    watcher.finish()
    assert len(lived) == COUNT
    assert {found: life for found, life in watcher.lives.items() if life != LIFE} == {}
    assert watcher.codes == {identifier: str(code) for identifier, code in lived.items()}
    assert api.containers() == []
