"""The prompts' store in memory, with faults on demand."""

from collections.abc import Mapping
from typing import Any

import orjson

from coreto.messages import Json
from coreto.stores.errors import StoreError
from coreto.stores.prompts import (
    ExposureRecord,
    LabelRecord,
    OutcomeRecord,
    VariantCount,
    VersionRecord,
)


class MemoryPromptStore:
    """Behaves as ``SqlPromptStore`` and forgets at its end. While ``fault`` is set, every method raises it."""

    def __init__(self) -> None:
        self.fault: StoreError | None = None
        self._versions: dict[tuple[str, int, str], VersionRecord] = {}
        self._labels: dict[tuple[str, str], LabelRecord] = {}
        self._values: dict[tuple[str, str, str], bytes] = {}
        self._exposures: dict[tuple[str, str], ExposureRecord] = {}
        self._outcomes: dict[tuple[str, str, str], OutcomeRecord] = {}

    def pin(self, record: VersionRecord) -> VersionRecord:
        self._check()
        return self._versions.setdefault((record.name, record.version, record.language), record)

    def versions(self, name: str | None = None) -> list[VersionRecord]:
        self._check()
        return [one for _, one in sorted(self._versions.items()) if name in (None, one.name)]

    def move(self, record: LabelRecord) -> None:
        self._check()
        self._labels[record.name, record.label] = record

    def labels(self, name: str | None = None) -> list[LabelRecord]:
        self._check()
        return [one for _, one in sorted(self._labels.items()) if name in (None, one.name)]

    def set_values(self, user: str, name: str, values: Mapping[str, Any], now_ms: int) -> None:  # noqa: ARG002 - nothing here asks when
        self._check()
        written = {
            variable: None if value is None else orjson.dumps(value) for variable, value in values.items()
        }
        for variable, value in written.items():
            if value is None:
                self._values.pop((user, name, variable), None)
            else:
                self._values[user, name, variable] = value

    def values(self, user: str, name: str) -> Json:
        self._check()
        mine = sorted((key, value) for key, value in self._values.items() if key[:2] == (user, name))
        return {variable: orjson.loads(value) for (_, _, variable), value in mine}

    def expose(self, record: ExposureRecord) -> ExposureRecord:
        self._check()
        return self._exposures.setdefault((record.experiment, record.subject), record)

    def exposure(self, experiment: str, subject: str) -> ExposureRecord | None:
        self._check()
        return self._exposures.get((experiment, subject))

    def measure(self, record: OutcomeRecord) -> bool:
        self._check()
        if (record.experiment, record.subject) not in self._exposures:
            return False
        self._outcomes[record.experiment, record.subject, record.outcome] = record
        return True

    def counts(self, experiment: str, outcome: str) -> list[VariantCount]:
        self._check()
        sums: dict[str, list[int]] = {}
        for (name, subject), exposure in self._exposures.items():
            if name == experiment:
                known = self._outcomes.get((experiment, subject, outcome))
                row = sums.setdefault(exposure.variant, [0, 0, 0])
                row[0] += 1
                row[1] += known is not None
                row[2] += known is not None and known.success
        return [VariantCount(variant, *row) for variant, row in sorted(sums.items())]

    def forget(self, user: str, subject: str) -> int:
        self._check()
        values = [key for key in self._values if key[0] == user]
        met = [key for key in self._exposures if key[1] == subject]
        for key in values:
            del self._values[key]
        for key in met:
            del self._exposures[key]
        self._outcomes = {key: one for key, one in self._outcomes.items() if key[1] != subject}
        return len(values) + len(met)

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault
