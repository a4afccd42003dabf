"""The records of a node's volumes, by name and by id. In memory."""

from collections.abc import Iterable

from seaway_contracts.volumes import VolumeRecord


class HeldRecords:
    """`unreadable`: volumes whose record can't be read; it is not known what they are until somebody sends it."""

    def __init__(self) -> None:
        self.unreadable: set[str] = set()
        self._records: dict[str, VolumeRecord] = {}
        self._names: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def get(self, name: str) -> VolumeRecord | None:
        """The record of a volume; None without one."""
        return self._records.get(name)

    def all(self) -> Iterable[VolumeRecord]:
        """All records."""
        return self._records.values()

    def put(self, record: VolumeRecord) -> None:
        """Take a record in place of the one that has its name."""
        self.drop(record.name)
        self._records[record.name] = record
        self._names[record.id] = record.name

    def put_unreadable(self, record: VolumeRecord) -> None:
        """Take a record that stands for one that can't be read."""
        self.put(record)
        self.unreadable.add(record.name)

    def drop(self, name: str) -> None:
        """A volume is gone. Harmless without one."""
        self.unreadable.discard(name)
        if name in self._records:
            del self._names[self._records.pop(name).id]

    def is_made_up(self, name: str) -> bool:
        """Whether a volume is here, but nobody has sent its record, or that was lost."""
        held = self._records.get(name)
        return held is not None and (name in self.unreadable or (held.id == name and not held.anonymous))

    def named(self, identifier: str, name: str) -> str:
        """The name of a volume, by its id, or by its name where its record is made up; empty without one."""
        return self._names.get(identifier, name if self.is_made_up(name) else "")
