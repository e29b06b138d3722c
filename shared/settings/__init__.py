"""One typed settings tree, in sections by subject."""

from packsight.shared.settings.catalog import Catalog, PublicKey, Storage
from packsight.shared.settings.door import Http, Review
from packsight.shared.settings.loading import (
    STACK_FILE,
    act_as,
    check_named_stack,
    load_settings,
    named_stack,
    nearest_stack,
    settings,
    settings_file,
)
from packsight.shared.settings.photos import Decode, Fetch, Models, Precision, Runtime
from packsight.shared.settings.section import EXAMPLE
from packsight.shared.settings.servers import S3, Flower, Metrics, Redis
from packsight.shared.settings.tree import Settings
from packsight.shared.settings.work import Queue, Worker

__all__ = [
    "EXAMPLE", "S3", "STACK_FILE", "Catalog", "Decode", "Fetch", "Flower", "Http", "Metrics", "Models", "Precision", "PublicKey",
    "Queue", "Redis", "Review", "Runtime", "Settings", "Storage", "Worker", "act_as", "check_named_stack", "load_settings",
    "named_stack", "nearest_stack", "settings", "settings_file",
]  # fmt: skip
