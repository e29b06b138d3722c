"""Settings that cannot work are refused when they are read, with the variable and what would work."""

from __future__ import annotations

from pathlib import Path

import pytest

from packsight.shared.contract.errors import UserError
from packsight.shared.settings import load_settings

NOWHERE = Path("/nonexistent/stack.env")


@pytest.mark.parametrize("variable", ["PACKSIGHT_BROKER_URL", "PACKSIGHT_RESULT_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "sentinel://127.0.0.1:26379/0",
        "amqp://guest@127.0.0.1",
        "redis+socket:///run/redis.sock",
        "unix:///run/redis.sock",
        "redis://a:1/0;redis://b:1/0",
        "127.0.0.1:6379",
        "redis://",
        "rediss://127.0.0.1/0",
    ],
)
def test_a_broker_that_is_not_supported_is_refused(variable: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, url)
    with pytest.raises(UserError, match=rf"{variable}: .*redis") as caught:
        load_settings(NOWHERE)
    assert "Correct the variable" in str(caught.value)


@pytest.mark.parametrize("url", ["redis://:secret@127.0.0.1:6379/3", "rediss://127.0.0.1/0?ssl_cert_reqs=required"])
def test_one_redis_server_is_accepted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKSIGHT_BROKER_URL", url)
    assert load_settings(NOWHERE).broker_url.get_secret_value() == url
