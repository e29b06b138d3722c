"""What deploy/kubernetes makes of itself: valid documents that fit each other, compose, and the commands that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from typer.main import get_group
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

import packsight
from packsight.cli import app
from packsight.deploy import secrets_folder
from packsight.shared.contract.messages import WORKER_QUEUES
from packsight.shared.metrics import table
from packsight.shared.settings import Settings, Worker
from tests.kustomize import Document, containers, pod_of, render

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
KUBERNETES = "1.32"
LASTING = ("broker", "s3", "worker", "indexer", "http", "flower", "operator")
FROM_COMPOSE = ("broker", "s3", "worker", "indexer", "flower")
"""Services that both have."""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as somebody has it who followed its first line."""
    folder = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("secrets"))
    secrets_folder.write(folder / "example/secrets")
    return folder / "example"


@pytest.fixture(scope="module")
def documents(example: Path) -> list[Document]:
    return render(example)


def of_kind(documents: list[Document], *kinds: str) -> dict[str, Document]:
    return {one["metadata"]["name"]: one for one in documents if one["kind"] in kinds}


def pods(documents: list[Document]) -> dict[str, Document]:
    """Specifications of pods by the name of what makes them."""
    return {one["metadata"]["name"]: pod for one in documents if (pod := pod_of(one)) is not None}


def container_of(documents: list[Document], name: str) -> Document:
    (found,) = pods(documents)[name]["containers"]
    return dict(found)


def labels_of(document: Document) -> dict[str, str]:
    spec = document["spec"].get("jobTemplate", {}).get("spec", document["spec"])
    return dict(spec["template"]["metadata"]["labels"])


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Policy(_Strict):
    type: Literal["Pods", "Percent"]
    value: Annotated[int, Field(gt=0)]
    period_seconds: Annotated[int, Field(gt=0, le=1800)]


class Rules(_Strict):
    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)]
    policies: list[Policy]


class Behavior(_Strict):
    scale_up: Rules
    scale_down: Rules


class Autoscaler(_Strict):
    behavior: Behavior


class Advanced(_Strict):
    horizontal_pod_autoscaler_config: Autoscaler


class Named(_Strict):
    name: str


class Fallback(_Strict):
    failure_threshold: Annotated[int, Field(gt=0)]
    replicas: Annotated[int, Field(ge=0)]


class PrometheusTrigger(_Strict):
    """As KEDA's scaler `prometheus` has it; its values are strings."""

    server_address: Annotated[str, Field(pattern=r"^https?://")]
    query: str
    threshold: Annotated[str, Field(pattern=r"^\d+(\.\d+)?$")]
    activation_threshold: Annotated[str, Field(pattern=r"^\d+(\.\d+)?$")]
    ignore_null_values: Literal["true", "false"]


class Trigger(_Strict):
    type: Literal["prometheus"]
    metadata: PrometheusTrigger


class Scaling(_Strict):
    scale_target_ref: Named
    min_replica_count: Annotated[int, Field(ge=0)]
    max_replica_count: Annotated[int, Field(gt=0)]
    polling_interval: Annotated[int, Field(gt=0)]
    fallback: Fallback
    advanced: Advanced
    triggers: Annotated[list[Trigger], Field(min_length=1)]


class ScaledObject(_Strict):
    """The part of keda.sh/v1alpha1 that is used; its own schema is published in Go alone."""

    api_version: Literal["keda.sh/v1alpha1"]
    kind: Literal["ScaledObject"]
    metadata: dict[str, Any]
    spec: Scaling


def test_every_document_is_valid(documents: list[Document]) -> None:
    assert len(documents) > 30
    for document in documents:
        if document["apiVersion"].startswith("keda.sh/"):
            ScaledObject.model_validate(document)
        else:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_nothing_is_there_twice(documents: list[Document]) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in documents]
    assert len(names) == len(set(names))


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed; tests/kustomize.py renders in its place")
def test_kubectl_makes_the_same_of_it(example: Path, documents: list[Document]) -> None:
    text = subprocess.run(["kubectl", "kustomize", str(example)], capture_output=True, text=True, check=True).stdout
    generated = {one["metadata"]["name"] for one in documents if one["kind"] in {"ConfigMap", "Secret"}}
    # kubectl lets the name of a generated one end in a hash of its content, so that pods see a change.
    text = re.sub(rf"\b({'|'.join(sorted(generated, key=len, reverse=True))})-[a-z0-9]{{10}}\b", r"\1", text)
    theirs = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text)}
    ours = {(one["kind"], one["metadata"]["name"]): one for one in documents}
    assert theirs.keys() == ours.keys()
    for name, document in ours.items():
        assert _plain(theirs[name]) == _plain(document), name


def _plain(document: Document) -> Document:
    """A secret in one line, where kubectl breaks it."""
    if document["kind"] == "Secret":
        document["data"] = {key: "".join(text.split()) for key, text in document["data"].items()}
    return document


def references(pod: Document) -> Iterator[tuple[str, str]]:
    """What a pod needs beside itself, by kind and name."""
    for container in pod["containers"]:
        for source in container.get("envFrom", ()):
            if not source["configMapRef"].get("optional"):
                yield "ConfigMap", source["configMapRef"]["name"]
    for volume in pod.get("volumes", ()):
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
        for source in volume.get("projected", {}).get("sources", ()):
            yield "Secret", source["secret"]["name"]


def test_whatever_a_pod_refers_to_is_there_and_every_secret_is_for_somebody(documents: list[Document]) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in documents}
    asked = {one for pod in pods(documents).values() for one in references(pod)}
    assert asked <= there
    assert {one for one in there if one[0] in {"Secret", "PersistentVolumeClaim"}} <= asked
    claims = {name: {"data"} if name in {"broker", "s3"} else set() for name in pods(documents)}
    for name, pod in pods(documents).items():
        volumes = {volume["name"] for volume in pod["volumes"]} | claims[name]
        assert {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]} == volumes


@pytest.mark.parametrize("name", [*LASTING, "backup"])
def test_a_pod_is_shown_the_secrets_that_it_reads_and_no_others(documents: list[Document], name: str) -> None:
    secrets = of_kind(documents, "Secret")
    shown = {key for kind, one in references(pods(documents)[name]) if kind == "Secret" for key in secrets[one]["data"]}
    container = container_of(documents, name)
    services = of_kind(documents, "ConfigMap")["services"]["data"]
    variables = {entry["name"]: entry["value"] for entry in container.get("env", ())}
    if any(source["configMapRef"]["name"] == "services" for source in container.get("envFrom", ())):
        variables = services | variables
    asked = {Path(value).name for variable, value in variables.items() if variable.endswith("_FILE")}
    # SeaweedFS finds its certificate by what stands in security.toml.
    asked |= {word.rpartition("/")[2] for word in container.get("args", ()) if "/run/secrets/" in word}
    asked |= {"security.toml", "certificate.pem", "key.pem"} if name == "s3" else set()
    # It is a node of the queue no more than the broker is: a backup asks object storage alone.
    assert asked == shown


def test_services_lead_to_ports_of_pods_that_there_are(documents: list[Document]) -> None:
    made = of_kind(documents, "Deployment", "StatefulSet")
    for service in of_kind(documents, "Service").values():
        selector = service["spec"]["selector"]
        (name,) = [name for name, one in made.items() if selector.items() <= labels_of(one).items()]
        ports = {port["name"]: port["containerPort"] for port in container_of(documents, name)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
    services = of_kind(documents, "ConfigMap")["services"]["data"]
    ports = {name: {port["port"] for port in one["spec"]["ports"]} for name, one in of_kind(documents, "Service").items()}
    assert 6379 in ports["broker"]
    assert services["PACKSIGHT_BROKER_URL"].startswith("redis://broker:6379/")
    assert services["PACKSIGHT_S3__ENDPOINT"] == f"s3:{next(iter(ports['s3']))}"


@pytest.mark.parametrize("name", [*LASTING, "backup"])
def test_no_pod_runs_as_root_writes_outside_its_volumes_or_speaks_with_the_cluster(documents: list[Document], name: str) -> None:
    pod, container = pods(documents)[name], container_of(documents, name)
    assert pod["automountServiceAccountToken"] is False
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    user = COMPOSE[name if name in FROM_COMPOSE else "worker"]["user"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", FROM_COMPOSE)
def test_what_compose_runs_too_is_run_as_there(documents: list[Document], name: str) -> None:
    service, container = COMPOSE[name], container_of(documents, name)
    assert container["image"] == service["image"]
    assert f"{pods(documents)[name]['terminationGracePeriodSeconds']}s" == service["stop_grace_period"]
    command = [*container.get("command", ()), *container.get("args", ())]
    assert command == [*service.get("entrypoint", ()), *service["command"]]
    services = of_kind(documents, "ConfigMap")["services"]["data"]
    variables = services | {one["name"]: one["value"] for one in container.get("env", ())}
    assert service.get("environment", {}).items() <= variables.items()


def test_every_pod_acts_in_a_role_of_its_own_by_that_roles_secret_and_its_figures_can_be_scraped(
    documents: list[Document],
) -> None:
    scraped = set()
    for name, pod in pods(documents).items():
        container = container_of(documents, name)
        variables = {one["name"]: one["value"] for one in container.get("env", ())}
        if "PACKSIGHT_REDIS__USER" not in variables:
            continue
        role = "operator" if name == "backup" else name
        assert variables["PACKSIGHT_REDIS__USER"] == role
        sources = [source for one in pod["volumes"] for source in one.get("projected", {}).get("sources", (one,))]
        assert role in [one["secret"].get("name", one["secret"].get("secretName")) for one in sources if "secret" in one], name
        if "PACKSIGHT_METRICS__PORT" in variables:
            assert int(variables["PACKSIGHT_METRICS__PORT"]) in {port["containerPort"] for port in container["ports"]}
            scraped.add(name)
    policy = of_kind(documents, "NetworkPolicy")["to-metrics"]["spec"]["podSelector"]["matchExpressions"][0]
    assert scraped == {"worker", "indexer", "http"} == set(policy["values"])


def scraped(documents: list[Document]) -> Iterator[dict[str, str]]:
    """Labels of what Prometheus scrapes of pods that run, by the actions that our configuration uses."""
    (config,) = yaml.safe_load((ROOT / "deploy/prometheus/kubernetes.yml").read_text())["scrape_configs"]
    (found,) = config["kubernetes_sd_configs"]
    assert found["role"] == "pod"
    made = [one for one in documents if pod_of(one) and one["metadata"]["namespace"] in found["namespaces"]["names"]]
    for one in made:
        meta = {re.sub(r"\W", "_", f"__meta_kubernetes_pod_label_{name}"): value for name, value in labels_of(one).items()}
        meta |= {"__meta_kubernetes_pod_name": f"{one['metadata']['name']}-0", "__meta_kubernetes_pod_phase": "Running"}
        for port in container_of([one], one["metadata"]["name"]).get("ports", ()):
            labels = {**meta, "__meta_kubernetes_pod_container_port_name": port["name"]}
            for rule in config["relabel_configs"]:
                (source,) = rule["source_labels"]
                match = re.fullmatch(rule.get("regex", "(.*)"), labels[source])
                if "target_label" in rule:
                    assert match
                    labels[rule["target_label"]] = rule.get("replacement", "$1").replace("$1", match[1])
                elif bool(match) != (rule["action"] == "keep"):
                    break
            else:
                yield labels


def test_prometheus_finds_the_figures_under_the_names_that_alerts_go_by_and_keda_asks_where_it_is_let_in(
    documents: list[Document],
) -> None:
    rules = (ROOT / "deploy/prometheus/alerts.yml").read_text()
    assert sorted(one["job"] for one in scraped(documents)) == ["packsight-http", "packsight-indexer", "packsight-worker"]
    assert {one["job"] for one in scraped(documents)} >= set(re.findall(r'job="([^"]+)"', rules))
    (entrance,) = of_kind(documents, "NetworkPolicy")["to-metrics"]["spec"]["ingress"]
    assert entrance["ports"] == [{"port": "metrics"}]
    (peer,) = entrance["from"]
    (scaled,) = of_kind(documents, "ScaledObject").values()
    host = urlsplit(scaled["spec"]["triggers"][0]["metadata"]["serverAddress"]).hostname or ""
    assert host.split(".")[1] == peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]


def test_the_broker_has_the_memory_that_it_has_in_compose(documents: list[Document]) -> None:
    limit = container_of(documents, "broker")["resources"]["limits"]["memory"]
    assert limit.removesuffix("Gi") == COMPOSE["broker"]["mem_limit"].removesuffix("g")


def test_images_carry_the_version(documents: list[Document]) -> None:
    images = {container["image"] for document in documents for container in containers(document)}
    assert {image for image in images if image.startswith("packsight")} == {f"packsight:{packsight.__version__}"}
    assert all(":" in image for image in images)


@pytest.mark.parametrize("name", [name for name in LASTING if name != "operator"])
def test_probes_ask_whether_it_has_begun_and_whether_a_restart_would_mend_it(documents: list[Document], name: str) -> None:
    container = container_of(documents, name)
    probes = {kind: container[kind] for kind in ("startupProbe", "livenessProbe", "readinessProbe") if kind in container}
    assert {"startupProbe", "livenessProbe"} <= probes.keys()
    ports = {port["name"] for port in container["ports"]}
    for kind, probe in probes.items():
        if "httpGet" in probe:
            assert probe["httpGet"]["port"] in ports
            continue
        command = probe["exec"]["command"]
        if command[0] == "packsight":
            asked = get_group(app).commands[command[1]].make_context("health", command[2:]).params
            assert asked["role"] == name
            assert asked["ready"] == (kind != "livenessProbe"), "a worker that starts is well, and not ready"
            assert asked["end_after"] is None, "the probe itself restarts"
    begins = probes["startupProbe"]["periodSeconds"] * probes["startupProbe"]["failureThreshold"]
    if name == "worker":
        assert begins > 2 * Worker().start_timeout


def test_a_stop_waits_longer_than_the_largest_batch_may_take(documents: list[Document]) -> None:
    limits = Worker()
    assert pods(documents)["worker"]["terminationGracePeriodSeconds"] > limits.seconds_for(limits.max_batch)


def test_there_is_exactly_one_indexer_and_never_two_for_a_moment(documents: list[Document]) -> None:
    indexer = of_kind(documents, "Deployment")["indexer"]
    assert indexer["spec"]["replicas"] == 1
    assert indexer["spec"]["strategy"] == {"type": "Recreate"}
    assert all(one["spec"]["scaleTargetRef"]["name"] != "indexer" for one in of_kind(documents, "ScaledObject").values())


def test_workers_are_scaled_by_what_waits_and_what_is_in_work_per_child(documents: list[Document]) -> None:
    worker = of_kind(documents, "Deployment")["worker"]
    assert "replicas" not in worker["spec"], "each apply would set KEDA's number back"
    (scaled,) = of_kind(documents, "ScaledObject").values()
    assert scaled["spec"]["scaleTargetRef"]["name"] == "worker"
    (trigger,) = scaled["spec"]["triggers"]
    query = trigger["metadata"]["query"]
    queues = re.search(r'packsight_queue_messages\{queue=~"([^"]*)"\}', query)
    assert queues is not None
    assert set(queues[1].split("|")) == set(WORKER_QUEUES)
    assert "packsight_messages_in_work" in query
    variables = {one["name"]: one["value"] for one in container_of(documents, "worker")["env"]}
    children = int(variables["PACKSIGHT_WORKER__CHILDREN"])
    assert int(trigger["metadata"]["threshold"]) == 2 * children
    cores = int(container_of(documents, "worker")["resources"]["limits"]["cpu"])
    assert children * int(variables["PACKSIGHT_WORKER__THREADS"]) == cores


def test_a_worker_has_the_memory_that_it_has_in_compose(documents: list[Document]) -> None:
    limit = container_of(documents, "worker")["resources"]["limits"]["memory"]
    assert limit.removesuffix("Mi") == COMPOSE["worker"]["mem_limit"].removesuffix("m")


def test_workers_are_scaled_by_figures_that_are_told(documents: list[Document]) -> None:
    (scaled,) = of_kind(documents, "ScaledObject").values()
    for name in re.findall(r"packsight_\w+", scaled["spec"]["triggers"][0]["metadata"]["query"]):
        assert name in table.METRICS
        assert table.METRICS[name].where == "indexer", "told once, so that the sum counts nothing twice"


def test_every_command_of_a_pod_is_one_of_packsights(documents: list[Document]) -> None:
    commands = get_group(app).commands
    for name, pod in pods(documents).items():
        (container,) = pod["containers"]
        if not container["image"].startswith("packsight") or "command" in container:
            continue
        command, *options = container["args"]
        commands[command].make_context(name, list(options))


def test_a_disruption_takes_one_worker_at_a_time(documents: list[Document]) -> None:
    budget = of_kind(documents, "PodDisruptionBudget")["worker"]
    assert budget["spec"]["maxUnavailable"] == 1
    worker = of_kind(documents, "Deployment")["worker"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels_of(worker).items()
    assert worker["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_nobody_reaches_broker_and_storage_but_who_has_their_keys(documents: list[Document]) -> None:
    policies = of_kind(documents, "NetworkPolicy")
    assert policies["closed"]["spec"]["podSelector"] == {}
    assert set(policies["closed"]["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in policies["closed"]["spec"]
    secrets = of_kind(documents, "Secret")
    made = of_kind(documents, "Deployment", "StatefulSet", "CronJob")
    for name, pod in pods(documents).items():
        keys = {key for kind, one in references(pod) if kind == "Secret" for key in secrets[one]["data"]}
        labels = labels_of(made[name])
        if name != "backup":  # it has the operator's keys, and asks object storage alone
            assert (labels.get("packsight/broker") == "client") == ("broker" in keys), name
        assert (labels.get("packsight/s3") == "client") == ("s3-access-key" in keys), name
        # An S3 server of one's own may have a public address.
        assert labels.get("packsight/web") == labels.get("packsight/s3"), name
    for service, port in (("broker", 6379), ("s3", 8333)):
        (door,) = policies[f"of-{service}-clients"]["spec"]["egress"]
        assert door["to"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": service}}}]
        assert door["ports"] == [{"port": port}]


def test_no_secret_is_in_the_repository_or_sent_to_a_build() -> None:
    assert "deploy/kubernetes/*/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines.index("deploy/kubernetes") > lines.index("!deploy")
    assert not [one for one in render(FOLDER / "base") if one["kind"] == "Secret"]


def test_object_storage_is_open_to_those_who_reach_the_door_once_somebody_says_so(documents: list[Document]) -> None:
    (policy,) = yaml.safe_load_all((FOLDER / "example/uploads.yaml").read_text())
    kubernetes_validate.validate(policy, KUBERNETES, strict=True)
    (opened,) = policy["spec"]["ingress"]
    policies = of_kind(documents, "NetworkPolicy")
    assert policy["metadata"]["name"] not in policies
    assert opened["from"] == policies["to-http"]["spec"]["ingress"][0]["from"]
    assert opened["ports"] == policies["to-s3"]["spec"]["ingress"][0]["ports"]
    assert policy["spec"]["podSelector"] == policies["to-s3"]["spec"]["podSelector"]


def test_the_door_knows_who_comes_through_a_proxy(documents: list[Document]) -> None:
    sources = [one["configMapRef"]["name"] for one in container_of(documents, "http")["envFrom"]]
    assert "http-settings" in sources
    believed = of_kind(documents, "ConfigMap")["http-settings"]["data"]["PACKSIGHT_HTTP__PROXIES"]
    proxies = ProxyHeadersMiddleware(FastAPI(), believed).trusted_hosts  # type: ignore[arg-type]
    assert "10.244.3.7" in proxies and "10.0.0.7" not in proxies


@pytest.mark.parametrize("name", ["worker.env", "indexer.env", "http.env"])
def test_the_examples_settings_are_settings_that_exist(name: str) -> None:
    text = (FOLDER / "example" / name).read_text()
    assert re.fullmatch(r"(PACKSIGHT_\w+=.*\n)+", text)
    Settings(_env_file=FOLDER / "example" / name)
