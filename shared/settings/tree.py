"""All settings in one typed tree."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from packsight.shared.logs import LogFormat
from packsight.shared.secret_files import Environment
from packsight.shared.settings.catalog import Catalog, Storage
from packsight.shared.settings.door import Http, Review
from packsight.shared.settings.photos import Decode, Fetch, Models
from packsight.shared.settings.servers import S3, Flower, Metrics, Redis, RedisUrl
from packsight.shared.settings.work import Queue, Worker


class Settings(BaseSettings):
    """All settings of packsight. Environment first, then files that it names, the folder's stack file, these defaults."""

    model_config = SettingsConfigDict(
        env_prefix="PACKSIGHT_",
        env_nested_delimiter="__",
        env_file_encoding="utf-8",
        extra="forbid",
        frozen=True,
    )

    broker_url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")
    """Where messages wait: one Redis or Valkey server as redis://host:port/database, or rediss:// for TLS."""
    result_url: RedisUrl = SecretStr("redis://127.0.0.1:6379/1")
    """Where results and the books of jobs lie; the same server will do, in another database."""
    home: Path = Path(".packsight")
    """Folder of local state: stack, logs, catalog replica; networks are kept where `PACKSIGHT_MODELS__CACHE_DIR` says."""
    log_format: LogFormat = LogFormat.TEXT
    """`text`, or `json`: each line of a log is an object."""
    redis: Redis = Redis()
    flower: Flower = Flower()
    metrics: Metrics = Metrics()
    s3: S3 = S3()
    fetch: Fetch = Fetch()
    decode: Decode = Decode()
    models: Models = Models()
    worker: Worker = Worker()
    queue: Queue = Queue()
    catalog: Catalog = Catalog()
    storage: Storage = Storage()
    http: Http = Http()
    review: Review = Review()

    @property
    def broker(self) -> str:
        """Address of the broker with all that is needed to connect; a secret."""
        return self.redis.address(self.broker_url)

    @property
    def results(self) -> str:
        """The same of the result database."""
        return self.redis.address(self.result_url)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let variables name files too."""
        return init_settings, Environment(settings_cls), dotenv_settings
