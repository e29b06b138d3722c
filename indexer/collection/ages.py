"""How long things stay that nothing needs, counted from one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from packsight.shared.settings import Storage
from packsight.shared.storage.objects import Listed


@dataclass(frozen=True, slots=True)
class Ages:
    """The settings at one moment; settings.Storage has the reasons."""

    now: datetime
    photos: timedelta
    features: timedelta
    uploads: timedelta
    jobs: timedelta

    @classmethod
    def of(cls, storage: Storage, now: datetime | None = None) -> Ages:
        """The ages that are set."""
        days = (storage.photos_days, storage.features_days, storage.uploads_days, storage.jobs_days)
        return cls(now or datetime.now(UTC), *(timedelta(days=one) for one in days))

    def is_over(self, found: Listed, age: timedelta) -> bool:
        """Whether an object is older than this."""
        return self.now - found.modified > age
