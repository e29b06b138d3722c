"""What a worker's parent must not do, since its children would inherit it, and how it makes them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from packsight.shared.queue.app import make_app
from packsight.shared.settings import Settings, Worker

NETWORKS = {"openvino", "faiss", "torch", "cv2", "onnxruntime"}
PARENT = """
import json, sys
from {module} import {app}
made = {app}()
made.loader.import_default_modules()
print(json.dumps(list(sys.modules)))
"""


@pytest.mark.parametrize(
    ("module", "app"), [("packsight.worker.app", "worker_app"), ("packsight.indexer.app", "indexer_app")]
)
def test_a_parent_loads_no_library_whose_threads_a_child_would_lack(module: str, app: str) -> None:
    code = PARENT.format(module=module, app=app)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not NETWORKS & set(json.loads(done.stdout.splitlines()[-1]))


def test_children_are_spawned_and_have_time_to_build_their_networks() -> None:
    conf = make_app("test", Settings(_env_file=None, worker=Worker(start_timeout=77))).conf
    assert conf.worker_pool_start_method == "spawn", "a forked child has the thread pools of its parent without their threads"
    assert conf.worker_proc_alive_timeout == 77, "Celery's own 4 s kill every replacement that builds networks"


OTHERS = """
import threading
from unittest.mock import Mock
from celery.signals import worker_init
import {module}
worker_init.send(sender=Mock(app=Mock(main="another program"), hostname="w@h"))
print([thread.name for thread in threading.enumerate()])
"""


@pytest.mark.parametrize("module", ["packsight.worker.app", "packsight.indexer.app"])
def test_workers_of_other_apps_in_its_process_are_left_alone(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", OTHERS.format(module=module)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['MainThread']"


ALONE = """
import sys
from unittest.mock import patch
from packsight.worker import app
with patch("packsight.worker.process.child.child"):
    app._build_child()
import pyarrow as pa
print(pa.Table.from_pylist([{"word": "milk"}], schema=pa.schema([("word", pa.string())])).num_rows, "pandas" in sys.modules)
"""


def test_a_child_that_makes_tables_loads_no_pandas() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 False", "it would take 44 MB of every child"
