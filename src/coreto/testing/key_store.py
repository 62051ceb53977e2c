"""The keys' store in memory, with faults on demand."""

from dataclasses import replace

from coreto.stores.errors import RefusedError, StoreError
from coreto.stores.keys import KeyRecord, NameTakenError


class MemoryKeyStore:
    """Behaves as ``SqlKeyStore`` and forgets at its end. While ``fault`` is set, every method raises it."""

    def __init__(self) -> None:
        self.fault: StoreError | None = None
        self._records: list[KeyRecord] = []

    def add(self, record: KeyRecord) -> None:
        self._check()
        if any(one.name == record.name and one.revoked_ms is None for one in self._records):
            raise NameTakenError(record.name)
        if any(record.key_id == one.key_id or record.digest == one.digest for one in self._records):
            raise RefusedError("a key is there once")
        self._records.append(record)

    def all(self) -> list[KeyRecord]:
        self._check()
        return sorted(self._records, key=lambda one: (one.created_ms, one.key_id))

    def revoke(self, name_or_id: str, now_ms: int) -> KeyRecord | None:
        self._check()
        for index, one in enumerate(self._records):
            if one.revoked_ms is None and name_or_id in (one.name, one.key_id):
                self._records[index] = replace(one, revoked_ms=now_ms)
                return self._records[index]
        return None

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault
