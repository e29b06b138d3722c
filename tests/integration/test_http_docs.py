"""The commands of docs/http.md, as they stand there, against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from packsight.producer.http.webhooks import signature
from packsight.shared.settings import Settings
from tests.door import Serving, serving
from tests.recognizer import running

PAGE = (Path(__file__).parents[2] / "docs/http.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def open_door(live_settings: Settings) -> Iterator[Serving]:
    with running(live_settings), serving(live_settings) as running_door:
        yield running_door


def test_every_command_of_the_page_does_what_it_is_there_for(
    open_door: Serving, live_environment: None, live_settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    (tmp_path / "photos.csv").write_text("image,sku\ns3://packsight/incoming/1.jpg,A-1\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "packsight"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m packsight "$@"\n')
    command.chmod(0o755)
    script = "set -euo pipefail\n" + "\necho\n".join(COMMANDS)
    assert script.count("curl") == 15
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "DOOR": open_door.stranger.base}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"status":"no_match"') >= 4
    assert "event: ended" in done.stdout
    assert '"extra":{"sku":"A-2"}' in done.stdout
    assert '"error"' not in done.stdout


def test_the_page_tells_how_to_check_a_webhook() -> None:
    (snippet,) = PYTHON
    names: dict[str, object] = {}
    exec(snippet, names)
    is_ours = names["is_ours"]
    assert callable(is_ours)
    stamp, body = str(int(time.time())), b'{"event": "job.ended"}'
    headers = {"X-Packsight-Timestamp": stamp, "X-Packsight-Signature": f"sha256={signature('secret', stamp, body)}"}
    assert is_ours(headers, body, "secret")
    assert not is_ours(headers, body + b" ", "secret")
    assert not is_ours(headers, body, "other")
    old = str(int(stamp) - 1000)
    headers = {"X-Packsight-Timestamp": old, "X-Packsight-Signature": f"sha256={signature('secret', old, body)}"}
    assert not is_ours(headers, body, "secret")
