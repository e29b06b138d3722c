"""What Prometheus is told of requests, over a real door."""

from __future__ import annotations

from pathlib import Path

import pytest

from packsight.deploy.testbed import Servers
from packsight.producer.http.figures import NOTED
from packsight.shared.metrics.exporter import Figures
from tests.door import serving


@pytest.fixture
def page(servers: Servers, tmp_path: Path) -> str:
    """After a few requests."""
    figures = Figures(NOTED)
    with serving(servers.settings(tmp_path, "packsight"), figures) as running:
        for path in ("/healthz", "/healthz", "/v1/jobs/20260101-000000-abcdef", "/made-up/secret-1", "/made-up/secret-2"):
            running.stranger.get(path)
    return figures.page()[0].decode()


def test_requests_are_counted_by_the_pattern_of_their_endpoint_and_how_they_ended(page: str) -> None:
    assert 'packsight_http_requests_total{endpoint="/healthz",status="200"} 2.0' in page
    assert 'packsight_http_requests_total{endpoint="/v1/jobs/{job}",status="401"} 1.0' in page
    assert 'packsight_http_request_seconds_count{endpoint="/healthz"} 2.0' in page


def test_what_strangers_make_up_is_no_label(page: str) -> None:
    assert 'packsight_http_requests_total{endpoint="other",status="404"} 2.0' in page
    assert "secret" not in page and "abcdef" not in page
