"""Commands of which each leaves a mark in a file: how often each was carried out can be counted afterwards."""

import http.client
import itertools
from collections import Counter
from pathlib import Path

from e2e_rig.api import Api
from e2e_rig.busy import Busy

from chaos_rig.client import Client

_PAUSE_S = 0.02


class Commands(Busy):
    """Execs in one container, one after another from each of a few clients that never repeat a request."""

    def __init__(self, api: Api, place: Path, at_once: int = 4, **host: object) -> None:
        self._api, self._marks = api, place / "marks"
        script = "trap 'exit 8' TERM; while :; do sleep 0.1; done"
        client = Client(api)
        self.container = client.create(f"commands-{place.name}", script, Binds=[f"{place}:/place"], **host)
        client.start(self.container)
        self.acknowledged: list[int] = []
        self.refused: dict[int, str] = {}
        self._numbers = itertools.count()
        super().__init__(*[self._run] * at_once)

    def _run(self) -> None:
        while not self._enough.wait(_PAUSE_S):
            number = next(self._numbers)
            try:
                self._command(number)
            except (OSError, http.client.HTTPException) as error:
                self.refused[number] = repr(error)

    def _command(self, number: int) -> None:
        body = {"Cmd": ["sh", "-c", f"echo {number} >> /place/marks"]}
        made = self._api.request("POST", f"/containers/{self.container}/exec", body)
        if made.status != 201:
            self.refused[number] = made.body.decode()
            return
        path = f"/exec/{made.json()['Id']}/start"
        reply = self._api.request("POST", path, {"Detach": True})
        if reply.status == 200:
            self.acknowledged.append(number)
        else:
            self.refused[number] = reply.body.decode()

    def settled(self) -> bool:
        """Whether all that was acknowledged has left its mark."""
        return set(self.acknowledged) <= set(self._done())

    def check(self) -> None:
        """What was acknowledged was done once; what was not, once or not at all."""
        done = self._done()
        assert {number: times for number, times in done.items() if times != 1} == {}
        assert set(self.acknowledged) - done.keys() == set()

    def _done(self) -> Counter[int]:
        return Counter(int(line) for line in self._marks.read_text().split()) if self._marks.exists() else Counter()
