"""`python -m tests.compose`: exit code 0 when all was as it must be, 1 when not, 2 where it cannot be run."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml
from rich.console import Console
from rich.table import Table

import packsight
from packsight.deploy.demo.shop.dataset import write_feed
from packsight.deploy.demo.shop.scenes import catalog_photo
from packsight.shared.contract.outcomes import Outcome
from tests.acceptance.local_stack import PRODUCTS, query
from tests.compose.engine import ROOT, Client, Compose, NotPossibleError, Project, adapted, lasting, merged
from tests.door import Visitor

PHOTOS = 80
HEALTHY_SECONDS = 900
"""Within which every service must be healthy: a child builds its networks in half a minute, on a starved machine in ten."""
THROTTLED = 0.05
"""Share of periods: more say that more threads are busy than the container has processors."""
USER = 1000
"""Stands for the operator, who is not the containers' user."""
READY = ("packsight", "health", "worker", "--ready")
SYNC = ("catalog", "sync", "--feed", "/shop/feed.xml")
SUBMIT = ("submit", "/photos", "--wait")
"""What docs/operations.md begins with; `tests/unit/test_compose.py` compares."""

Outcomes = dict[str, tuple[str, str]]
"""How each photo of a job ended: its status and the product."""

console = Console(width=140)


@dataclass
class Trial:
    """A run: what was seen, and how long each step took."""

    client: Client
    folder: Path
    built: bool
    """Whether images of an earlier run are taken as they are."""
    rows: list[tuple[str, str, bool]] = field(default_factory=list)

    def note(self, what: str, seen: str, *, good: bool) -> None:
        """Keep a line of the table, and print it at once."""
        self.rows.append((what, seen, good))
        console.print(f"{'✓' if good else '✗'} {what}: {seen}", highlight=False)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Note how long a step takes."""
        console.print(f"… {what}", highlight=False)
        began = time.monotonic()
        yield
        self.note(what, f"{time.monotonic() - began:.0f} s", good=True)

    def project(self, compose: Compose, tag: str) -> Project:
        """A compose file of a release with images of this tag, and workers of one child that remember no photo."""
        made = adapted(compose, self.folder / "secrets", tag)
        own = {"PACKSIGHT_WORKER__REMEMBER": "0", "PACKSIGHT_WORKER__CHILDREN": "1", "PACKSIGHT_WORKER__SPARE": "0"}
        made["services"]["worker"]["environment"] |= own
        file = self.folder / f"compose-{tag}.yml"
        file.write_text(yaml.safe_dump(made, sort_keys=False))
        return Project(self.client, file, lasting(made))

    def build(self, source: Path, compose: Compose, tag: str) -> None:
        """The images of a release, each once."""
        images = {}
        for service in compose["services"].values():
            if "build" in service:
                lock = service["build"].get("args", {}).get("LOCK", "services")
                images[f"{service['image'].partition(':')[0]}:{tag}"] = lock
        for image, lock in images.items():
            if self.built and self.client.has(image):
                continue
            with self.timed(f"image {image} ({lock})"):
                self.client.build(source, image, lock)
            size = self.client.call("image", "inspect", "--format", "{{.Size}}", image).stdout
            self.note(f"size of {image}", f"{int(size) / 1e6:,.0f} MB", good=True)

    def draw(self) -> None:
        """A small shop and photos of its products, in folders that the operator owns."""
        for item in PRODUCTS:
            for number in range(2):
                photo = catalog_photo(item, number, np.random.default_rng([number, int(item.id)]))
                self._write(f"shop/photos/{item.id}/{number + 1}.jpg", photo)
        write_feed(self.folder / "shop/feed.xml", PRODUCTS, 2)
        for number in range(PHOTOS):
            self._write(f"photos/{number:03}.jpg", query(PRODUCTS[number % len(PRODUCTS)], number))
        self.folder.chmod(0o755)
        (self.folder / "out").mkdir()
        if _user() == 0:
            shutil.chown(self.folder / "out", USER, USER)

    def _write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def up(self, project: Project, what: str) -> None:
        """Start everything, and wait until every service is healthy."""
        began = time.monotonic()
        console.print(f"… {what}", highlight=False)
        project.run("up", "--detach", "--scale", "worker=2")
        for service in project.lasting:
            for container in project.containers(service):
                self.wait_healthy(project, container, began)
            self.note(f"{what}: {service} healthy", f"after {time.monotonic() - began:.0f} s", good=True)

    @staticmethod
    def wait_healthy(project: Project, container: str, began: float) -> None:
        """Return when it is; raises NotPossibleError with the end of its log when it is not in time."""
        while (state := project.state(container))["Health"]["Status"] != "healthy":
            if time.monotonic() - began > HEALTHY_SECONDS:
                log = project.client.call("logs", "--tail", "30", container, check=False)
                last = (state["Health"].get("Log") or [{}])[-1].get("Output", "")
                raise NotPossibleError(f"a container is {state['Health']['Status']}: {last}\n{log.stdout}{log.stderr}")
            time.sleep(1)

    def wait_ready(self, project: Project) -> None:
        """Return when the workers have built their networks: they are healthy before."""
        began = time.monotonic()
        for container in project.containers("worker"):
            while (seen := project.client.call("exec", container, *READY, check=False)).returncode:
                if time.monotonic() - began > HEALTHY_SECONDS:
                    raise NotPossibleError(f"a worker is not ready: {seen.stdout}{seen.stderr}")
                time.sleep(1)
        self.note("workers ready", f"{time.monotonic() - began:.0f} s later", good=True)

    def secrets(self, image: str) -> list[str]:
        """The words by which an image writes secrets for this user, beside those that are there."""
        return ["run", "--rm", "--user", str(_user()), "--volume", f"{self.folder}:/deploy", image, "secrets", "/deploy/secrets"]

    def mounted(self, project: Project, service: str, *arguments: str) -> list[str]:
        """A command of a role with the operator's folders; one that writes there, with his user."""
        writes = any(word.startswith("/out") for word in arguments)
        owner = _user() or USER
        # The home of the containers' own user is closed to others.
        user = ("--user", f"{owner}:{owner}", "-e", "PACKSIGHT_HOME=/tmp/packsight") if writes else ()
        places = [f"{self.folder / name}:/{name}{':ro' if name != 'out' else ''}" for name in ("shop", "photos", "out")]
        volumes = [word for place in places for word in ("--volume", place)]
        return project.command("run", "--rm", "-T", "--no-deps", *user, *volumes, service, *arguments)

    def command(self, project: Project, service: str, *arguments: str, what: str, code: int = 0) -> str:
        """Run it, and note how it ended."""
        began = time.monotonic()
        done = subprocess.run(self.mounted(project, service, *arguments), capture_output=True, text=True, check=False)
        seen = f"exit code {done.returncode} after {time.monotonic() - began:.0f} s"
        self.note(what, seen, good=done.returncode == code)
        if done.returncode != code:
            console.print((done.stdout + done.stderr)[-2500:], highlight=False, markup=False)
        return done.stdout

    @contextmanager
    def throttling(self, project: Project) -> Iterator[None]:
        """Note in how many of the periods of their quota the workers were held up by it."""
        workers = project.containers("worker")
        before = [project.periods(worker) for worker in workers]
        yield
        for number, (worker, (periods, throttled)) in enumerate(zip(workers, before, strict=True), 1):
            of, held = (now - then for now, then in zip(project.periods(worker), (periods, throttled), strict=True))
            self.note(f"worker {number} held up by its quota", f"{held} of {of} periods", good=held <= THROTTLED * of)

    def same(self, what: str, one: Outcomes, other: Outcomes) -> None:
        """Note how many photos ended otherwise; none may have."""
        differ = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
        self.note(what, str(len(differ)), good=not differ)

    def outcomes(self, name: str) -> Outcomes:
        """How each photo of a job ended: its status and the product."""
        rows: list[dict[str, Any]] = [json.loads(line) for line in (self.folder / "out" / name).read_text().splitlines()]
        found = {row["name"]: (row["status"], (row.get("product") or {}).get("id", "")) for row in rows}
        self.note(f"rows of {name}", f"{len(rows)} for {PHOTOS} photos", good=len(rows) == len(found) == PHOTOS)
        return found


def _user() -> int:
    return os.getuid()


def _through_a_rolling_restart(trial: Trial, project: Project) -> None:
    """A job is answered as in quiet while its workers are stopped and started, one after the other."""
    submit = (*SUBMIT, "--batch-size", "4")
    with trial.throttling(project):
        trial.command(project, "producer", *submit, "--out", "/out/quiet.jsonl", what="a quiet job")
    quiet = trial.outcomes("quiet.jsonl")
    began = time.monotonic()
    command = trial.mounted(project, "producer", *submit, "--out", "/out/rolled.jsonl")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        time.sleep(3)
        for number, container in enumerate(project.containers("worker"), 1):
            under_way = job.poll() is None
            project.client.call("stop", "--time", "400", container)
            ended = project.state(container)["ExitCode"]
            project.client.call("start", container)
            trial.wait_healthy(project, container, time.monotonic())
            told = f"exit code {ended}, {time.monotonic() - began:.0f} s into the job{'' if under_way else ', which had ended'}"
            trial.note(f"worker {number} stopped and started", told, good=ended == 0)
        output, errors = job.communicate(timeout=900)
    seen = f"exit code {job.returncode} after {time.monotonic() - began:.0f} s"
    trial.note("the job through the rolling restart", seen, good=job.returncode == 0)
    if job.returncode:
        console.print((output + errors)[-2500:], highlight=False, markup=False)
        return
    rolled = trial.outcomes("rolled.jsonl")
    trial.same("outcomes that differ from the quiet job", quiet, rolled)
    wrong = [name for name, (status, _) in rolled.items() if status == "failed"]
    trial.note("photos that failed", str(len(wrong)), good=not wrong)


def _within_its_limits(trial: Trial, image: str) -> None:
    """In a container of one processor a worker keeps one thread busy, however many the machine has."""
    asked = (
        "from packsight.shared.settings import Worker",
        "from packsight.worker.process.cores import divide, usable_cores, usable_memory",
        "print(*divide(Worker(), usable_cores()), round(usable_memory() / 2**30, 1))",
    )
    limits = ("--cpus", "1", "--memory", "2g")
    said = trial.client.call("run", "--rm", *limits, "--entrypoint", "python", image, "-c", "; ".join(asked)).stdout.strip()
    what = "children, threads of each and GiB of a worker in a container of one processor and 2 GiB"
    trial.note(what, said, good=said == "1 1 2.0")


def _over_http(trial: Trial, project: Project) -> None:
    """A photo that this host sends over HTTP has the outcome that the queue gives it; without a key there is none."""
    key = project.run("exec", "-T", "http", "packsight", "keys", "add", "shop").stdout.strip()
    stranger = Visitor(f"http://{project.run('port', 'http', '8080').stdout.strip()}")
    photo = (trial.folder / "photos/000.jpg").read_bytes()
    refused = stranger.post("/v1/recognize", body=photo).status
    trial.note("a photo over HTTP without a key", f"status {refused}", good=refused == 401)
    by_queue = trial.command(project, "producer", "recognize", "/photos/000.jpg", what="a photo by the queue")
    began = time.monotonic()
    answer = stranger.with_headers(Authorization=f"Bearer {key}").post("/v1/recognize", body=photo)
    said = f"status {answer.status}, {answer.json.get('status')}, after {time.monotonic() - began:.1f} s"
    trial.note("the photo over HTTP", said, good=answer.status == 200)
    equal = answer.status == 200 and _said(answer.json) == _said(json.loads(by_queue))
    trial.note("its outcome over HTTP and by the queue", "equal but for timings" if equal else "differ", good=equal)


def _said(outcome: dict[str, Any]) -> dict[str, Any]:
    return Outcome.model_validate(outcome).model_dump(exclude={"timings"})


def _stopped(trial: Trial, project: Project) -> None:
    """Everything is stopped, the broker last, and ends by itself."""
    names = [service for service in project.lasting if service not in {"broker", "s3"}]
    for service in [*names, "s3", "broker"]:
        containers = project.containers(service)
        began = time.monotonic()
        project.run("stop", service)
        codes = [project.state(container)["ExitCode"] for container in containers]
        trial.note(f"stop of {service}", f"exit codes {codes} after {time.monotonic() - began:.0f} s", good=not any(codes))


def _sources(commit: str, folder: Path) -> Path:
    """The sources of another release."""
    data = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    target = folder / "before"
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(target, filter="data")
    dockerfile = target / "deploy/Dockerfile"
    if "id=ca" not in dockerfile.read_text():
        # It could be built by none but public registries; what it builds is the same.
        shutil.copy(ROOT / "deploy/Dockerfile", dockerfile)
    return target


def main(
    before: Annotated[str, typer.Option("--from", help="Commit of the release before: an upgrade from it is tried too.")] = "",
    built: Annotated[bool, typer.Option("--built", help="Take the images of an earlier run as they are.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave containers and volumes as they are in the end.")] = False,
) -> None:
    """Build the images, start compose, and see whether it does what is promised."""
    try:
        client = Client.find()
    except NotPossibleError as error:
        console.print(f"compose-test: {error}", highlight=False)
        sys.exit(2)
    console.print(client.version, highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="packsight-compose-"))
    trial, tag = Trial(client, folder, built), f"{packsight.__version__}-test"
    compose = merged((ROOT / "docker-compose.yml").read_text())
    project = trial.project(compose, tag)
    try:
        with trial.timed("base images"):
            client.bases()
        trial.build(ROOT, compose, tag)
        _within_its_limits(trial, f"packsight:{tag}")
        trial.draw()
        job = _as_before(trial, before) if before else ""
        client.call(*trial.secrets(f"packsight:{tag}"))
        trial.up(project, "up" if not before else "upgrade")
        trial.wait_ready(project)
        if before:
            _still_there(trial, project, job)
        trial.command(project, "operator", *SYNC, what="a sync from a mounted folder")
        _over_http(trial, project)
        _through_a_rolling_restart(trial, project)
        trial.command(project, "operator", "status", what="status")
        trial.command(project, "operator", "doctor", what="doctor")
        trial.command(project, "operator", "backup", "/out/backup", what="a backup into a mounted folder")
        trial.command(project, "operator", "restore", "/out/backup", "--check", what="the backup is whole")
        _stopped(trial, project)
    except (NotPossibleError, subprocess.SubprocessError) as error:
        trial.note("the run", str(error), good=False)
    finally:
        if keep:
            console.print(f"kept: {folder}", highlight=False)
        else:
            project.down()
            shutil.rmtree(folder, ignore_errors=True)
    _print(trial)
    sys.exit(0 if all(good for _, _, good in trial.rows) else 1)


def _as_before(trial: Trial, commit: str) -> str:
    """What the release before leaves behind: secrets, a catalog, and a job with its results; returns the job's name."""
    source, tag = _sources(commit, trial.folder), "before-test"
    compose = merged((source / "docker-compose.yml").read_text())
    trial.build(source, compose, tag)
    trial.client.call(*trial.secrets(f"packsight:{tag}"))
    project = trial.project(compose, tag)
    trial.up(project, f"up, {commit}")
    trial.command(project, "operator", *SYNC, what=f"a sync, {commit}")
    job = trial.command(project, "producer", *SUBMIT, "--out", "/out/before.jsonl", what=f"a job, {commit}").strip()
    trial.outcomes("before.jsonl")
    project.run("down", "--timeout", "400")
    return job


def _still_there(trial: Trial, project: Project, job: str) -> None:
    """What the release before left behind is read by this one, before a sync."""
    versions = trial.command(project, "operator", "catalog", "versions", what="versions of the catalog are listed")
    console.print(versions, highlight=False, markup=False)
    listed = trial.command(project, "producer", "jobs", "--json", what="jobs of the release before are listed")
    trial.note("its job among them", job, good=bool(job) and job in listed)
    trial.command(project, "producer", "results", job, "--out", "/out/kept.jsonl", what="its results")
    trial.same("outcomes that are no longer as they were", trial.outcomes("before.jsonl"), trial.outcomes("kept.jsonl"))


def _print(trial: Trial) -> None:
    table = Table("", "what", "seen", title=f"compose, {trial.client.version}")
    for what, seen, good in trial.rows:
        table.add_row("✓" if good else "✗", what, seen)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
