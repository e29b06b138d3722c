"""Figures of long runs, read from the documents that chaos, fuzz, soak and the benchmark write, and kept beside the tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

KEPT = Path(__file__).with_name("measured.json")

Runs = dict[str, dict[str, Any]]
"""Summaries by the name of what wrote them, such as `chaos-3`; the last run of a name stands."""
Figure = Callable[[Runs], tuple[str, str]]
"""Says a figure, and its date and commit; two empty texts where nothing was measured."""

SUMMARY = {
    "chaos": ("seed", "ended", "commit", "photos", "batches", "planned", "seconds", "lost", "doubled", "differing", "in_time",
              "versions", "longest_pause_s", "worst_recovery", "recovery_s", "died_by_themselves"),
    "fuzz": ("seed", "ended", "commit", "targets"),
    "soak": ("begun", "commit", "images", "resident_mb_most", "growth_mb_per_1000", "keys_without_end", "wrong"),
    "latency": ("begun", "commit", "idle", "beside_a_job", "waiting"),
}  # fmt: skip
"""What is kept of each kind of document; the rest stays where it was written."""


def summaries(files: Iterable[Path]) -> Runs:
    """What is kept of documents in these files; those of other kinds are passed over."""
    found: Runs = {}
    for file in files:
        kind = file.stem.partition("-")[0]
        if kind in SUMMARY:
            document = json.loads(file.read_text(encoding="utf-8"))
            found[file.stem] = {name: document[name] for name in SUMMARY[kind] if name in document}
            if kind == "chaos":
                found[file.stem]["events"] = len(document["done"])
                found[file.stem]["kinds"] = sorted(document["recovery_s"])
    return found


def kept() -> Runs:
    """What was kept before."""
    runs: Runs = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    return runs


def of_one_commit(runs: Runs) -> Runs:
    """The runs of each kind that are of the same commit as its latest: no line adds up what different programs did."""
    latest = {_kind(name): run.get("commit") for name, run in sorted(runs.items(), key=lambda one: _time(one[1]))}
    return {name: run for name, run in runs.items() if run.get("commit") == latest[_kind(name)]}


def keep(runs: Runs) -> None:
    """Keep figures for the page."""
    KEPT.write_text(json.dumps(dict(sorted(runs.items())), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _kind(name: str) -> str:
    return "chaos-standin" if name.startswith("chaos-standin") else name.partition("-")[0]


def _time(run: dict[str, Any]) -> str:
    return str(run.get("ended") or run.get("begun") or "")


def _of(runs: Runs, kind: str) -> list[dict[str, Any]]:
    return [run for name, run in runs.items() if _kind(name) == kind]


def _when(found: list[dict[str, Any]]) -> str:
    """The last day, and the commits."""
    commits = sorted({f"`{run['commit']}`" for run in found if "commit" in run})
    return ", ".join([max((_time(run)[:10] for run in found), default=""), *commits])


def chaos(runs: Runs) -> tuple[str, str]:
    """Photos of all runs with networks, and the worst recovery."""
    return _chaos(_of(runs, "chaos"))


def standins(runs: Runs) -> tuple[str, str]:
    """The same of the runs without networks."""
    return _chaos(_of(runs, "chaos-standin"))


def _chaos(found: list[dict[str, Any]]) -> tuple[str, str]:
    if not found:
        return "", ""
    total = {name: sum(run[name] for run in found) for name in ("photos", "events", "lost", "doubled", "differing")}
    planned = f" of {sum(run['planned'] for run in found)}" if all("planned" in run for run in found) else ""
    worst = max((run["worst_recovery"]["recovered_s"] for run in found if run["worst_recovery"]), default=0.0)
    text = (
        f"{len(found)} run{'s' * (len(found) > 1)}, {total['events']}{planned} events, {total['photos']:,} photos: "
        f"{total['lost']} lost, {total['doubled']} doubled, {total['differing']} differing; "
        f"next batch {worst:.1f} s after an event at worst"
    )
    return text, _when(found)


def recovery(*events: str) -> Figure:
    """The longest time until the next batch ended after events of some kinds, by their names in a chaos document."""

    def figure(runs: Runs) -> tuple[str, str]:
        found = [run for run in _of(runs, "chaos") if set(run["recovery_s"]) & set(events)]
        times = [run["recovery_s"][event] for run in found for event in events if event in run["recovery_s"]]
        if not times:
            return "", ""
        count, worst = sum(one["count"] for one in times), max(one["worst"] for one in times)
        return f"{count} times in chaos, next batch {worst:.1f} s later at worst", _when(found)

    return figure


def versions(runs: Runs) -> tuple[str, str]:
    """Catalogs that answered while jobs ran."""
    found = _of(runs, "chaos")
    count = sum(len([name for name in run["versions"] if name != "none"]) for run in found)
    return (f"{count} versions answered in {len(found)} chaos run{'s' * (len(found) > 1)}" if found else ""), _when(found)


def fuzz(*targets: str) -> Figure:
    """Cases and faults of some targets."""

    def figure(runs: Runs) -> tuple[str, str]:
        found = [run for run in _of(runs, "fuzz") if set(run["targets"]) & set(targets)]
        some = [run["targets"][name] for run in found for name in targets if name in run["targets"]]
        if not some:
            return "", ""
        slowest, memory = max(one["slowest_s"] for one in some), max(one["memory_mb"] for one in some)
        text = f"{sum(one['cases'] for one in some):,} damaged, {sum(one['faults'] for one in some)} faults"
        return f"{text}; slowest {slowest:.2f} s, {memory} MB at most", _when(found)

    return figure


def soak(runs: Runs) -> tuple[str, str]:
    """Memory over many photos."""
    found = _of(runs, "soak")
    if not found:
        return "", ""
    run = found[-1]
    grown, most = run["growth_mb_per_1000"], run["resident_mb_most"]
    return f"{run['images']:,} photos: {most:.0f} MB at most, {grown:+.2f} MB per 1,000 in the second half", _when([run])


def latency(runs: Runs) -> tuple[str, str]:
    """A single photo beside a job."""
    found = _of(runs, "latency")
    if not found:
        return "", ""
    idle, beside, waiting = (found[-1][name] for name in ("idle", "beside_a_job", "waiting"))
    text = f"median {beside['median']:.2f} s beside {waiting['images']:,} photos, {idle['median']:.2f} s alone"
    return f"{text}; 95 % within {beside['p95']:.2f} s", _when([found[-1]])
