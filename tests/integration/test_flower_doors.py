"""Every door of Flower, tried on a real one without a password, with a wrong one and with the right one."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from packsight.deploy.stack import parts
from packsight.deploy.stack.credentials import Credentials, Role
from packsight.deploy.stack.ports import free_ports
from packsight.deploy.stack.state import StackState
from packsight.deploy.testbed import Server, Servers, variables
from packsight.shared.queue import keys

PASSWORD = "a, b: \"c\" 'd'%"
KEYS = Credentials(flower=PASSWORD)
"""Of the stack whose Flower it is."""
READ = [
    "/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks", "/api/task/types", "/api/task/result/x", "/metrics",
    "/healthcheck",
]  # fmt: skip
ORDERS = [
    "task/send-task/packsight.recognize", "task/apply/packsight.recognize", "task/async-apply/packsight.recognize",
    "task/abort/x", "task/revoke/x", "task/rate-limit/packsight.recognize", "task/timeout/packsight.recognize",
    "worker/shutdown/w@h", "worker/pool/restart/w@h", "worker/pool/grow/w@h", "worker/pool/shrink/w@h",
    "worker/pool/autoscale/w@h", "worker/queue/add-consumer/w@h", "worker/queue/cancel-consumer/w@h",
]  # fmt: skip


@pytest.fixture(scope="module")
def port(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("flower")
    (port,) = free_ports(1)
    state = StackState(credentials=KEYS, ports={"flower": port})
    # What would open it is set around it.
    opening = {"FLOWER_UNAUTHENTICATED_API": "true", "FLOWER_READ_ONLY": "false", "FLOWER_BASIC_AUTH": "packsight:known"}
    environment = variables(servers.settings(folder, user=Role.FLOWER)) | opening
    server = Server(parts.flower(state, folder, environment), folder)
    yield port
    server.stop()


def asked(port: int, path: str) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    request.add_header("Authorization", f"Basic {base64.b64encode(f'packsight:{PASSWORD}'.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=30) as page:
        return json.load(page)


def answer(port: int, path: str, password: str | None, method: str = "GET", user: str = "packsight") -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    if password is not None:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as page:
            return int(page.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.parametrize("path", READ)
def test_a_page_is_shown_to_whoever_has_the_password(port: int, path: str) -> None:
    assert [answer(port, path, password) for password in (None, "", "wrong", "known")] == [401] * 4
    assert answer(port, path, PASSWORD) == 200


@pytest.mark.parametrize("role", Role)
def test_nothing_is_shown_for_the_keys_of_a_role(servers: Servers, port: int, role: Role) -> None:
    """Those of Flower's own role lead it to the broker, and nobody to it."""
    store = KEYS.s3(role)
    passwords = [servers.passwords[role], KEYS.roles[role].broker, KEYS.page, *([store.secret_key] if store else [])]
    users = [role, "packsight", "admin", *([store.access_key] if store else [])]
    assert {answer(port, "/api/workers", password, user=user) for password in passwords for user in users} == {401}
    assert {answer(port, "/api/worker/shutdown/w@h", password, "POST") for password in passwords} == {401}


def test_the_result_of_a_task_is_told(servers: Servers, port: int) -> None:
    record = {"status": "SUCCESS", "result": {"outcomes": [{"image": "s3://b/k"}]}, "task_id": "told", "children": []}
    with redis.Redis.from_url(servers.redis_url(1)) as client:
        client.set(keys.task_result("told"), json.dumps(record), ex=60)
    assert asked(port, "/api/task/result/told") == {"task-id": "told", "state": "SUCCESS", "result": record["result"]}
    assert asked(port, "/api/task/result/unknown")["state"] == "PENDING"


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_is_refused_to_everybody(port: int, order: str) -> None:
    assert [answer(port, f"/api/{order}", password, "POST") for password in (None, "wrong", "known")] == [401] * 3
    assert answer(port, f"/api/{order}", PASSWORD, "POST") == 403


@pytest.mark.parametrize(("password", "reason"), [("", "has no password"), ("ü", "can compare ASCII alone")])
def test_without_a_password_that_keeps_others_out_it_does_not_start(password: str, reason: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PACKSIGHT_")}
    environment |= {"PACKSIGHT_STACK_FILE": os.devnull, "PACKSIGHT_FLOWER__PASSWORD": password}
    command = [sys.executable, "-m", "packsight.deploy.flower_app", "flower"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"flower: Flower {reason}. ")
