"""Watches what the nodes of a cluster have, again and again: nothing twice, and never more than there is room for."""

import sqlite3
import threading
from collections import defaultdict
from contextlib import suppress

from chaos_rig.lab_cluster import LabCluster

_EVERY_S = 0.2


class LabWatch:
    """`places` has the nodes on which a container id, or a name, was seen at any time."""

    def __init__(self, cluster: LabCluster) -> None:
        self._cluster = cluster
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.places: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        """The node and the id of each container seen, by its id and by its name."""
        self.too_much: list[str] = []
        self.most = 0
        """The most that was reserved on a node. Bytes."""
        self.looks = 0

    def __enter__(self) -> "LabWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()
        self.look()

    @property
    def doubles(self) -> dict[str, set[tuple[str, str]]]:
        """What was seen in two places, or of two containers."""
        return {key: places for key, places in self.places.items() if len(places) > 1}

    def look(self) -> None:
        """Look at each node once."""
        for node in self._cluster.nodes:
            stored = self._cluster.stored(node)
            for one in stored:
                for key in (one.id, one.name):
                    self.places[key].add((node, one.id))
            self._weigh(node, "its database", sum(one.reserved for one in stored))
            self._weigh(node, "cgroups", self._cluster.in_cgroups(node))
        self.looks += 1

    def _weigh(self, node: str, where: str, reserved: int) -> None:
        self.most = max(self.most, reserved)
        if reserved > self._cluster.room:
            self.too_much.append(f"{node} has {reserved} of {self._cluster.room} reserved in {where}")

    def _run(self) -> None:
        while not self._enough.wait(_EVERY_S):
            with suppress(sqlite3.OperationalError):  # busy
                self.look()
