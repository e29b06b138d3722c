"""Rules and board ask for figures that there are, the shipped tests of the rules pass, and each alert has its remedy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from packsight.shared.contract.errors import Dependency
from packsight.shared.contract.messages import INDEXER_QUEUE, WORKER_QUEUES
from packsight.shared.contract.outcomes import Status
from packsight.shared.metrics.table import METRICS, Kind
from packsight.shared.queue.syncs import Ending
from packsight.shared.queue.vitals import BROKER_OR_RESULTS
from tests.prometheus import SHIPPED, hastened, promtool

ROOT = Path(__file__).parents[2]
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((SHIPPED / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
BOARD = json.loads((ROOT / "deploy/grafana/packsight.json").read_text())
ASKED = [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", [])]
NAMES = re.compile(r"\b(?:packsight_[a-z_]+|packsight:[a-z0-9:]+)")
TAILS = {Kind.HISTOGRAM: ("_sum", "_count", "_bucket"), Kind.SUMMARY: ("_sum", "_count")}
KNOWN = {f"{metric.name}{tail}" for metric in METRICS.values() for tail in TAILS.get(metric.kind, ("",))}
KNOWN |= {rule["record"] for rule in RULES if "record" in rule}
VALUES = {
    "status": {*Status, "4..", "5.."},
    "ending": {*Ending, "done", "failed", "put_back", "handed_back", "put_off"},
    "dependency": {*Dependency, BROKER_OR_RESULTS, "broker"},
    "queue": {*WORKER_QUEUES, INDEXER_QUEUE},
    "uptake": {"serving", "late", "refusing", "without"},
    "found": {"yes", "no"},
    "job": {"packsight-worker", "packsight-indexer", "packsight-http", "packsight-.*"},
}

OFF_THE_BOARD = {
    "packsight_fleet_children_expected": "what workers tell of themselves is summed there",
    "packsight_sync_period_seconds": "by which an alert judges the age of the last good sync",
    "packsight_sync_ended_timestamp_seconds": "when the last good one ended is shown, and how many ended how",
    "packsight_sync_ending": "how many ended how is shown",
    "packsight_reviewed_matched": "a count among shares; the page shows it beside what they allow to say",
    "packsight_promise_broken": "0 or 1, of which an alert tells; share and promise are shown",
}
"""Figures that people need not see, and why."""


def remedies() -> str:
    return (ROOT / "docs/operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", ["rules", "board"])
def test_every_question_is_about_figures_that_there_are_with_labels_and_values_that_they_have(place: str) -> None:
    questions = [rule["expr"] for rule in RULES] if place == "rules" else ASKED
    assert len(questions) > 20
    for question in questions:
        assert {name for name in NAMES.findall(question) if name not in KNOWN} == set(), question
        for label, values in re.findall(r'([a-z]+)=~?"([^"]+)"', question):
            assert set(values.split("|")) <= {str(value) for value in VALUES[label]}, question
    asked = {name for question in questions for name in NAMES.findall(question)}
    assert place == "board" or {"packsight_dead_letters", "packsight:photos:share1d"} <= asked


def test_people_see_every_figure_on_the_board_but_for_a_few() -> None:
    recorded = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
    asked = {name for question in ASKED for name in NAMES.findall(question)}
    asked |= {name for record in asked & recorded.keys() for name in NAMES.findall(recorded[record])}
    names = {metric.name: {f"{metric.name}{tail}" for tail in TAILS.get(metric.kind, ("",))} for metric in METRICS.values()}
    assert {name for name, parts in names.items() if not parts & asked} == OFF_THE_BOARD.keys()


def test_promtool_finds_rules_tests_and_configuration_right(tmp_path: Path) -> None:
    promtool("check", "rules", SHIPPED / "alerts.yml")
    promtool("check", "config", SHIPPED / "prometheus.yml")
    # Debian's Prometheus is built without a client of Kubernetes.
    cluster = yaml.safe_load((SHIPPED / "kubernetes.yml").read_text())
    cluster["rule_files"] = [str(SHIPPED / name) for name in cluster["rule_files"]]
    assert all(job.pop("kubernetes_sd_configs") for job in cluster["scrape_configs"])
    (tmp_path / "kubernetes.yml").write_text(yaml.safe_dump(cluster))
    promtool("check", "config", tmp_path / "kubernetes.yml")
    promtool("test", "rules", SHIPPED / "alerts_test.yml", SHIPPED / "drift_test.yml")


def test_each_alert_is_tried_by_a_shipped_test_in_which_it_fires() -> None:
    files = [yaml.safe_load((SHIPPED / name).read_text()) for name in ("alerts_test.yml", "drift_test.yml")]
    tests = [test for file in files for test in file["tests"]]
    fired = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]}
    assert fired == {alert["alert"] for alert in ALERTS}


def test_each_alert_is_also_fired_by_a_running_prometheus_that_scrapes_real_processes() -> None:
    text = (ROOT / "tests/acceptance/test_alerts.py").read_text(encoding="utf-8")
    assert set(re.findall(r'"(Packsight\w+)"', text)) == {alert["alert"] for alert in ALERTS}


def test_promtool_can_read_every_question_of_the_board(tmp_path: Path) -> None:
    rules = [{"record": f"board:{number}", "expr": ask.replace("$__rate_interval", "5m")} for number, ask in enumerate(ASKED)]
    (tmp_path / "board.yml").write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "board.yml")


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_an_alert_says_how_bad_it_is_and_where_its_remedy_stands(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["for"] and alert["annotations"]["summary"]
    name = alert["alert"]
    assert alert["annotations"]["remedy"] == f"docs/operations.md#alert-{name.lower()}"
    assert remedies().count(f"\n### Alert: {name}\n") == 1


def test_no_remedy_stands_for_an_alert_that_there_is_not() -> None:
    assert set(re.findall(r"\n### Alert: (\w+)\n", remedies())) == {alert["alert"] for alert in ALERTS}


def test_panels_have_places_and_ids_of_their_own() -> None:
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in BOARD["panels"]}
    assert len(places) == len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in BOARD["panels"])


def test_the_hastened_rules_are_the_shipped_ones() -> None:
    hasty = yaml.safe_load(hastened((SHIPPED / "alerts.yml").read_text()))
    rules = [rule for group in hasty["groups"] for rule in group["rules"]]
    assert {rule["for"] for rule in rules if "alert" in rule} == {"0s"}
    one, other = ([re.sub(r"\[\w+\]|offset \w+", "", rule["expr"]) for rule in those] for those in (rules, RULES))
    assert one == other
