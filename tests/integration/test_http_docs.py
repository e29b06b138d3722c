"""The commands of docs/http.md, as they stand there, against a real server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from packsight.producer.http.webhooks import signature
from packsight.producer.reviews.desk import ReviewDesk
from packsight.shared.contract.outcomes import Status
from packsight.shared.settings import Http, Settings
from packsight.shared.storage.verdicts import Kind, Offered
from tests.answered import outcome, publish, store_job
from tests.door import Serving, serving
from tests.pages import block
from tests.recognizer import running

COMMANDS = [
    block("docs/http.md", "A key", "bash"),
    block("docs/http.md", "One photo", "bash"),
    block("docs/http.md", "Jobs", "bash"),
    block("docs/http.md", "Uploads", "bash"),
    block("docs/http.md", "Reviews", "bash"),
    block("README.md", "packsight", holding="curl ").replace("http://127.0.0.1:PORT", "$DOOR"),
]


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
    script = script.replace("DOOR=http://127.0.0.1:8080 ", f"DOOR={open_door.stranger.base} ")
    # What the stand-in answers nobody is asked about, and its catalog is another.
    client = open_door.door.client
    publish(client, tmp_path / "version")
    unsure = store_job(client, ["shelf.jpg"], [outcome(0, Status.AMBIGUOUS, 0.5)])
    script = script.replace("REVIEWER=", f"JOB={unsure.id}\nREVIEWER=").replace("101518", "p9")
    assert script.count("curl") == 20
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"status":"no_match"') >= 5
    assert "event: ended" in done.stdout
    assert '"extra":{"sku":"A-2"}' in done.stdout
    assert '"error"' not in done.stdout
    assert '{"waiting":[{"offered":"unsure","verdicts":[],"photo":{' in done.stdout
    first, last = ReviewDesk(client, "default").store.all()
    assert (first.product, first.by, first.offered) == ("p9", "Ann (client desk)", Offered.UNSURE)
    assert (last.kind, last.after) == (Kind.UNDONE, first.id)
    assert ",other,p9,ambiguous," in done.stdout


def test_the_page_tells_how_to_check_a_webhook() -> None:
    names: dict[str, object] = {}
    exec(block("docs/http.md", "Webhooks", "python"), names)
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


def built(source: str, folder: Path) -> None:
    """Build the page's program `ask.go` in a folder."""
    go, formatter = shutil.which("go"), shutil.which("gofmt")
    if go is None or formatter is None:
        pytest.skip("needs Debian's golang-go")
    (folder / "ask.go").write_text(source, encoding="utf-8")
    environment = os.environ | {"GOCACHE": str(folder / "cache"), "GOPROXY": "off", "GOFLAGS": ""}
    done = subprocess.run([go, "build", "ask.go"], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([formatter, "-l", "ask.go"], cwd=folder, capture_output=True, text=True, check=True).stdout == ""


def test_the_program_in_go_asks_again_as_it_is_told_and_prints_every_answer(live_settings: Settings, tmp_path: Path) -> None:
    built(block("docs/http.md", "From Go", "go"), tmp_path)
    command = block("docs/http.md", "From Go", "bash").replace("go run ask.go", "./ask")
    for name in ("photo.jpg", "shelf.jpg", "other.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    one_place = live_settings.model_copy(update={"http": Http(in_work=1)})
    with running(live_settings) as worker, serving(one_place) as door, ThreadPoolExecutor(1) as pool:
        asks = door.client()
        key = asks.headers["Authorization"].partition(" ")[2]
        environment = os.environ | {"DOOR": door.stranger.base, "KEY": key}
        worker.gate.clear()
        other = pool.submit(asks.post, "/v1/recognize", body=b"another photo")
        while door.door.waiting.taken < 1:  # until the only place is held
            assert not other.done()
        with subprocess.Popen(
            ["bash", "-c", command], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as program:
            assert program.stderr is not None
            told = program.stderr.readline()
            worker.gate.set()
            printed, _ = program.communicate()
        assert "429 Too Many Requests: again in 1 s" in told
        assert program.returncode == 0
        answer = "no_match: a stand-in"
        assert printed.splitlines() == [f"photo.jpg {answer}", f"photo.jpg {answer}", f"shelf.jpg {answer}"]
        assert other.result().status == 200

        refused = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment | {"KEY": "x"}, capture_output=True, text=True, check=False
        )
        assert refused.returncode == 1
        assert "401 Unauthorized: failed (access_denied): " in refused.stderr
