"""What `kubectl kustomize` makes of our folders, as far as they use it: for machines without kubectl. Names get no hash."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
KNOWN = {"apiVersion", "kind", "resources", "namespace", "labels", "images", "configMapGenerator", "secretGenerator"}
WITHOUT_NAMESPACE = {"Namespace"}


def render(folder: Path) -> list[Document]:
    """All documents of a folder with a kustomization.yaml; raises ValueError for what is not known here."""
    how = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := how.keys() - KNOWN:
        raise ValueError(f"{folder}: {unknown}")
    found: list[Document] = []
    for name in how["resources"]:
        path = folder / name
        found += render(path) if path.is_dir() else [one for one in yaml.safe_load_all(path.read_text()) if one]
    found += [_config_map(folder, one) for one in how.get("configMapGenerator", ())]
    found += [_secret(folder, one) for one in how.get("secretGenerator", ())]
    for document in found:
        for labels in how.get("labels", ()):
            for metadata in _labelled(document):
                metadata.setdefault("labels", {}).update(labels["pairs"])
        if "namespace" in how and document["kind"] not in WITHOUT_NAMESPACE:
            document["metadata"]["namespace"] = how["namespace"]
        for container in containers(document):
            for image in how.get("images", ()):
                if container["image"] == image["name"]:
                    container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"
    return found


def _labelled(document: Document) -> Iterator[Document]:
    """Where `includeTemplates` puts labels: the document, what it makes, and what these make."""
    yield document["metadata"]
    spec = document.get("spec", {})
    if "jobTemplate" in spec:
        yield spec["jobTemplate"].setdefault("metadata", {})
        spec = spec["jobTemplate"]["spec"]
    if "template" in spec:
        yield spec["template"]["metadata"]
    for claim in spec.get("volumeClaimTemplates", ()):
        yield claim["metadata"]


def pod_of(document: Document) -> Document | None:
    """The specification of a document's pods, None where it has none."""
    spec: Document = document.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    found: Document | None = spec.get("template", {}).get("spec")
    return found


def containers(document: Document) -> Iterator[Document]:
    """The containers of a document's pods."""
    yield from (pod_of(document) or {}).get("containers", ())


def _config_map(folder: Path, made: Document) -> Document:
    lines = [*made.get("literals", ())]
    for name in made.get("envs", ()):
        lines += [line for line in (folder / name).read_text().splitlines() if line and not line.startswith("#")]
    data = dict(line.split("=", 1) for line in lines)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made["name"]}, "data": data}


def _secret(folder: Path, made: Document) -> Document:
    data = {}
    for entry in made["files"]:
        key, equals, path = entry.partition("=")
        content = (folder / (path if equals else entry)).read_bytes()
        data[key if equals else Path(entry).name] = base64.b64encode(content).decode()
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": made["name"]}, "data": data}
