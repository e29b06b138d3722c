"""The gate: a version is compared with those before it, and refused, published or kept for a look, with a report in any case.

First the feed alone, before a photo is fetched for nothing; then the built version, by its tables and by what it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from packsight.indexer.gate.case import case_of
from packsight.indexer.gate.changes import Changes, changes
from packsight.indexer.gate.churn import NO_CHURN, changed_answers, churn
from packsight.indexer.gate.parameters import GATE, GateParameters
from packsight.indexer.gate.queries import NONE, Queries
from packsight.indexer.gate.questions import ask_made, ask_own, ask_queries, by_photo
from packsight.indexer.gate.recognition import forgotten, pairs, told
from packsight.indexer.gate.remarks import remarks
from packsight.indexer.gate.rules import Findings, Refusal, refusals
from packsight.indexer.gate.tables import Levels, Tables, among, distinct
from packsight.indexer.publish import ancestors
from packsight.indexer.refused import prune_refused
from packsight.indexer.report import PhotoFailure
from packsight.indexer.version_report.keeping import Reports
from packsight.indexer.version_report.page import page
from packsight.indexer.version_report.summary import Summary, Verdict
from packsight.shared import advice
from packsight.shared.catalog.health import LISTS as HEALTH
from packsight.shared.catalog.manifest import FORMAT, MANIFEST, Manifest, PhotoRow, ProductRow, new_version
from packsight.shared.catalog.parts import verify
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.tables import photo_table, product_table
from packsight.shared.catalog.told import MADE, OWN, QUERY, Asked
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, UserError
from packsight.shared.settings import Catalog
from packsight.shared.vision.features import Features

Lists = dict[str, pa.Table]
_FAILED = pa.schema([(name, pa.string()) for name in ("source", "code", "message", "remedy")])


class RefusedError(UserError):
    """A version that is not worth publishing; `summary` has the reasons.

    kept: a sentence on what there is of it; reported: whether its report is kept.
    """

    def __init__(self, summary: Summary, kept: str, *, reported: bool = True) -> None:
        self.summary = summary
        reasons = summary.reasons
        count = f"{len(reasons)} reasons" if len(reasons) > 1 else "one reason"
        told = "\n".join(f"- {reason.text}" for reason in reasons)
        report = f"All that differs: `packsight catalog report {summary.version} --catalog {summary.catalog}`. "
        super().__init__(
            f"Catalog {summary.catalog} was not published, for {count}:\n{told}\n{kept}{report if reported else ''}"
            "Nothing was changed for the workers. If it is right as it is, sync with --force."
        )


@dataclass(frozen=True, slots=True)
class Material:
    """What a built version is looked at with. features: of catalog photos, by sha256; made: as for build_version."""

    features: Mapping[str, Features]
    made: Mapping[str, Features] = field(default_factory=dict)
    queries: Queries = NONE
    failures: Sequence[PhotoFailure] = ()
    notes: Sequence[str] = ()
    """What was noticed before, for the terminal."""
    lists: Mapping[str, pa.Table] = field(default_factory=dict)
    """More lists of the report, by the names of TITLES."""
    said: Mapping[str, str] = field(default_factory=dict)
    """What people said that photos show; as for churn."""
    asked: Sequence[Asked] | None = None
    """What the version was asked already, if it was; see `ask`."""


@dataclass(frozen=True, slots=True)
class Former:
    """A version that a new one is held against; no summary: it was published before there were reports."""

    manifest: Manifest
    summary: Summary | None

    @property
    def levels(self) -> Levels:
        """How much it held."""
        known = self.summary.levels if self.summary is not None else None
        return known or Levels(products=self.manifest.products, photos=self.manifest.photos)


@dataclass(frozen=True, slots=True)
class Examination:
    """Looks at versions of one catalog. home: folder for copies of versions that have to be asked, or are built upon."""

    catalogs: CatalogStore
    reports: Reports
    limits: Catalog
    home: Path
    parameters: GateParameters = GATE

    def require_feed(
        self, offered: int, removed: int, parent: Manifest | None, products: Callable[[], Sequence[ProductRow]]
    ) -> None:
        """Raise RefusedError, with all that the feed alone tells, when it lacks too much.

        offered: how many products there are; removed: how many are gone; products: those there are.

        Counts decide, so that a feed in which little changes costs nothing here.
        """
        if parent is None or not parent.products or not removed:
            return
        most = max(former.levels.products for former in self.history(parent))
        limit = self.limits.max_loss
        if removed <= limit * parent.products and offered >= (1 - limit) * most:
            return
        summary, lists = self.of_feed(products(), parent)
        self._keep(summary, lists, ())
        prune_refused(self.catalogs, self.reports, self.limits.keep_refused, self.parameters.refused_age)
        unseen = "Its photos were not looked at: what else would be refused is not known. "
        raise RefusedError(summary, unseen, reported=self.limits.keep_refused > 0)

    def of_feed(
        self, products: Sequence[ProductRow], parent: Manifest | None, pictured: Sequence[str] | None = None
    ) -> tuple[Summary, Lists]:
        """What the feed alone tells of the version that would be built; nothing is kept.

        pictured: ids of those that a picture is named for, which are taken to keep the photos that they have; None: nobody asks
        for photos.
        """
        tables = Tables.of_products(products)
        levels = Levels(products=len(products), names=distinct(tables.products["name"]))
        changed, former = None, []
        if parent is not None:
            before = Tables.read(self.catalogs, parent.version)
            had = before.photos if pictured is not None else photo_table(())
            kept = had.filter(among(had["product_id"], pa.array(pictured or (), pa.string())))
            changed, former = changes(Tables(before.products, had), Tables(tables.products, kept)), self.history(parent)
        found = Findings(own=levels, levels={one.manifest.version: one.levels for one in former}, changes=changed)
        reasons = refusals(found, self.limits, self.parameters)
        lists = _changed_lists(changed)
        return self._summary(
            new_version(), parent, Verdict.EMPTY if reasons else Verdict.ACCEPTED, reasons, levels, lists, (), ()
        ), lists

    def require_new(
        self, products: Sequence[ProductRow], photos: Sequence[PhotoRow], made_for: str, parent: Manifest | None, queries: Queries
    ) -> None:
        """Raise RefusedError when the very same was refused before and is still kept; made_for: recipe and fit that it is for."""
        refused = [one.version for one in self.catalogs.versions() if one.refused]
        if not refused:
            return
        case = case_of(Tables(product_table(products), photo_table(photos)), made_for, parent, queries.decisive, self.limits)
        for version in refused:
            summary = self.reports.summary(version)
            if summary is not None and summary.case == case:
                raise RefusedError(summary, _kept(version, self.catalogs.name))

    def of_version(
        self, folder: Path, parent: Manifest | None, material: Material, *, force: bool, tried: bool = False
    ) -> Manifest:
        """Look at a built version before anyone sees it, and keep a report of it; return its manifest.

        tried: it is to be a canary, which may be given up: then the same shop is known again, as after a refusal.

        Raises CatalogError for a damaged one, UserError for one without photos, and RefusedError, all reasons in it, for one
        that is not worth publishing, which is kept for a look; `force` overrides those, and the report names them.
        """
        manifest = verify(folder)
        snapshot = Snapshot.open(folder)
        if manifest.photos == 0:
            raise UserError("The new version has no photo at all, so it was not published. See which photos failed, and why.")
        tables = Tables.open(folder)
        asked = material.asked if material.asked is not None else self._ask(snapshot, material)
        former = self.history(parent) if parent is not None else []
        answers = {one.manifest.version: self.reports.answers(one.manifest.version) for one in former}
        compared = list[str]()
        changed = before = None
        if parent is not None:
            before = Tables.read(self.catalogs, parent.version)
            changed = changes(before, tables)
            compared += self._complete(answers, parent, manifest, material)
        recognition = {version: [pairs(old, asked, kind) for kind in (OWN, MADE)] for version, old in answers.items()}
        parents = recognition.get(parent.version, []) if parent is not None else []
        moved = {*changed.added["id"].to_pylist(), *changed.gone["id"].to_pylist()} if changed is not None else set()
        otherwise = churn(answers[parent.version], asked, moved, material.said) if parent is not None else NO_CHURN
        remarked, notes = remarks(tables, snapshot, asked, self.parameters)
        lists = {
            "failed": pa.Table.from_pylist([asdict(failure) for failure in material.failures], schema=_FAILED),
            **_changed_lists(changed),
            "answers": changed_answers(otherwise),
            "forgotten": forgotten(parents),
            **material.lists,
            **remarked,
        }
        found = Findings(
            own=tables.levels,
            levels={one.manifest.version: one.levels for one in former},
            changes=changed,
            shared=lists["shared_pictures"],
            shared_before=_stood_for(lists["shared_pictures"], before) if before is not None else {},
            recognition=recognition,
            churn=otherwise,
        )
        reasons = refusals(found, self.limits, self.parameters)
        verdict = Verdict.ACCEPTED if not reasons else Verdict.FORCED if force else Verdict.REFUSED
        compared += ([*told(parents, parent.version), *otherwise.told(parent.version)] if parent is not None else [])
        notes = (*material.notes, *material.queries.notes, *notes)
        summary = self._summary(manifest.version, parent, verdict, reasons, found.own, lists, compared, notes)
        if verdict is Verdict.REFUSED or tried:
            made = made_for(manifest.recipe, manifest.fit, manifest.reviewed.digest)
            case = case_of(tables, made, parent, material.queries.decisive, self.limits)
            summary = summary.model_copy(update={"case": case})
        self._keep(summary, lists, asked)
        if verdict is Verdict.REFUSED:
            self._refuse(folder, manifest, summary)
        return manifest

    def of_shown(self, version: str, products: Sequence[ProductRow], parent: Manifest) -> None:
        """Keep a report of a version that only shows its parent's products otherwise; what was asked of that holds for both."""
        before = Tables.read(self.catalogs, parent.version)
        tables = Tables(product_table(products), before.photos)
        # What is to be seen to is as it was.
        same = {name: table for name, table in self.reports.tables(parent.version).items() if name in HEALTH}
        lists = {**same, **_changed_lists(changes(before, tables))}
        summary = self._summary(version, parent, Verdict.ACCEPTED, (), tables.levels, lists, (), ())
        self._keep(summary, lists, self.reports.answers(parent.version))

    def history(self, parent: Manifest) -> list[Former]:
        """The parent and those before it that a new version is held against, newest first.

        They end with one that somebody published in spite of the gate: what was lost then is no longer missed. Earlier ones that
        only showed products otherwise are left out: they had lost nothing.
        """
        manifests = {one.version: one for one in self.catalogs.versions()} | {parent.version: parent}
        chain = ancestors(parent.version, manifests)
        compared = [version for version in chain if version == parent.version or not manifests[version].shown]
        found = []
        for version in compared[: self.parameters.compared + parent.shown]:
            found.append(Former(manifests[version], self.reports.summary(version)))
            summary = found[-1].summary
            if summary is not None and summary.verdict is not Verdict.ACCEPTED:
                break
        return found

    def ask(self, folder: Path, material: Material) -> list[Asked]:
        """Ask a built version what it is asked before it is published."""
        return self._ask(Snapshot.open(folder), material)

    def _ask(self, snapshot: Snapshot, material: Material) -> list[Asked]:
        return [
            *ask_own(snapshot, material.features, self.parameters.own_photos),
            *ask_made(snapshot, material.made),
            *ask_queries(snapshot, material.queries.names, material.queries.features),
        ]

    def _complete(
        self, answers: dict[str, list[Asked]], parent: Manifest, made: Manifest, material: Material
    ) -> tuple[str, ...]:
        """Ask a copy of the parent what it was never asked; a line when that cannot be done."""
        known = answers[parent.version]
        lacking = material.queries.features.keys() - {sha for sha, _ in by_photo(known, QUERY)}
        if known and not lacking:
            return ()
        if parent.format != FORMAT or parent.recipe != made.recipe:
            return (f"version {parent.version} was made for other workers, so it was not asked what they see",)
        queries = {sha: name for sha, name in material.queries.names.items() if sha in lacking}
        try:
            snapshot = Snapshot.open(self.catalogs.download(parent.version, self.home))
            own = known or self._ask(snapshot, replace(material, queries=NONE))
            answers[parent.version] = [*own, *ask_queries(snapshot, queries, material.queries.features)]
        except CatalogError as error:
            return (f"version {parent.version} could not be asked: {error.message}",)
        return ()

    def _refuse(self, folder: Path, manifest: Manifest, summary: Summary) -> None:
        """Keep a version for a look, marked, and say why."""
        kept = ""
        if self.limits.keep_refused:
            marked = manifest.model_copy(update={"refused": tuple(reason.text for reason in summary.reasons)})
            (folder / MANIFEST).write_text(marked.written())
            self.catalogs.upload(folder)
            kept = _kept(manifest.version, self.catalogs.name)
        prune_refused(self.catalogs, self.reports, self.limits.keep_refused, self.parameters.refused_age)
        raise RefusedError(summary, kept, reported=self.limits.keep_refused > 0)

    def _keep(self, summary: Summary, lists: Lists, asked: Sequence[Asked]) -> None:
        self.reports.write(summary, lists, asked, page(summary, lists))

    def _summary(
        self,
        version: str,
        parent: Manifest | None,
        verdict: Verdict,
        reasons: Sequence[Refusal],
        levels: Levels,
        lists: Lists,
        compared: Sequence[str],
        notes: Sequence[str],
    ) -> Summary:
        return Summary(
            catalog=self.catalogs.name,
            version=version,
            parent=None if parent is None else parent.version,
            made_at=datetime.now(UTC),
            verdict=verdict,
            reasons=tuple(reasons),
            levels=levels,
            counts={name: len(table) for name, table in lists.items()},
            compared=tuple(compared),
            notes=tuple(notes),
        )


def made_for(recipe: Recipe, fit: str, reviewed: str = "") -> str:
    """Name of what a version is made for; reviewed: what names the reviews that it is calibrated by."""
    return f"{recipe.key} {fit} {reviewed}".rstrip()


def _kept(version: str, catalog: str) -> str:
    command = f"packsight catalog rollback {version}{advice.of_catalog(catalog)}"
    return f"It is kept for a look; `{command}` lets it be served as it is. "


def _changed_lists(changed: Changes | None) -> Lists:
    return changed.lists if changed is not None else {}


def _stood_for(shared: pa.Table, before: Tables) -> dict[str, float]:
    """Share of the products of the former version that each of these pictures stood for."""
    wanted: Collection[str] = set(shared["sha256"].to_pylist())
    some = before.photos.filter(pc.is_in(before.photos["sha256"], value_set=pa.array(sorted(wanted), pa.string())))
    counted = some.group_by("sha256").aggregate([("product_id", "count_distinct")])
    products = max(len(before.products), 1)
    return {row["sha256"]: row["product_id_count_distinct"] / products for row in counted.to_pylist()}
