"""How workers and their queue share work, and when one of them counts as stuck."""

from __future__ import annotations

from pydantic import Field

from packsight.shared.settings.section import Section


class Worker(Section):
    """Sizes and limits of a recognition worker."""

    children: int = 0
    """Prefork children; 0 = one per usable core where memory allows, at least one."""
    threads: int = 0
    """Threads of the networks per child; 0 = usable cores divided by children."""
    spare: int = 1
    """Further children where memory allows, that only work on single photos while jobs keep the others busy."""
    time_limit: float = Field(default=60.0, gt=0)
    """Seconds that photos in work together may take however few they are, before their child is killed: fetching one may take
    20, decoding it 30."""
    image_seconds: float = Field(default=5.0, ge=0)
    """Seconds that each of them adds to it: twenty times and more what a quick core takes, so that a starved machine gets through
    what a quick one does."""
    begin_timeout: float = Field(default=30.0, gt=0)
    """Seconds after which a child is killed that was handed a batch and has not begun with it, or is stopped over it: an idle one
    begins at once."""
    beside_timeout: float = Field(default=120.0, gt=0)
    """Seconds after which a child is killed that stands still over a batch beside its photos: before the first, between parts,
    while its result is stored; counted anew whenever a server is asked again. The longest that it may wait for is a catalog on
    its way, 30 s, after two questions to object storage, 37 s each. Servers that do not answer take 16 s of a callback, 10 s of a
    result and 5 s of a question to the result database, and the look-up of a name may add 30 s to any of them. To be raised along
    with PACKSIGHT_QUEUE__SOCKET_TIMEOUT."""
    start_timeout: int = 120
    """Seconds that a child may take to build its models."""
    max_batch: int = 64
    """Photos that a message may carry."""
    max_memory_mb: int = 0
    """Resident size at which a child is replaced after its task; 0 = never."""
    catalogs_mb: int = Field(default=4096, gt=0)
    """Size of the catalogs that a child keeps open together; beyond it those that nobody asks for are closed. Their files are
    mapped, and what is open without being asked for takes the page cache from what is."""
    remember: int = Field(default=20_000, ge=0)
    """Photos of which the result database keeps what the networks saw, so that none is looked at twice; 0 = none.

    They take about 2.5 KB each there, and an old half is dropped when a new half is full.
    """

    def seconds_for(self, images: int) -> float:
        """Seconds that so many photos in work together may take."""
        return self.time_limit + images * self.image_seconds


class Queue(Section):
    """How messages are held and handed out."""

    visibility_timeout: int = 10
    """Seconds without a sign of life of its worker after which a message is handed out again."""
    result_expires: int = 7 * 24 * 3600
    """Seconds for which results can be read."""
    socket_timeout: float = 5.0
    """Seconds after which broker or results count as away that do not answer."""
    outage_seconds: float = 60.0
    """How long a producer in the middle of a job waits for a broker that has gone away before it gives up."""
    stuck_after: float = Field(default=60.0, gt=0)
    """Seconds for which messages may wait while a worker with nothing in work begins none, before it counts as unhealthy: an idle
    child begins within milliseconds, and what is in work has limits of its own. For the indexer: without a tick of its clock."""
    reconcile_seconds: float = 10.0
    """Period of the reconciler, and how old a batch without a message must be to be enqueued again."""
