"""The producer's commands as they are typed: from submit to dead-letters; reviews; serve, keys and people of the HTTP door."""

# Annotations are not postponed here: Typer would evaluate each of them, a fifth of the time of `--help`.

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packsight.shared.extras import Later

if TYPE_CHECKING:
    from packsight.producer import commands, dead_letters
    from packsight.producer import explain as explanation
    from packsight.producer import jobs as jobs_of
    from packsight.producer.evaluation import command as evaluation
    from packsight.producer.http import commands as http
    from packsight.producer.http import rights
    from packsight.producer.reviews import command as reviews
    from packsight.producer.watch import command as watching
    from packsight.shared.contract import messages
else:
    messages = Later("packsight.shared.contract.messages")
    commands = Later("packsight.producer.commands")
    explanation = Later("packsight.producer.explain")
    jobs_of = Later("packsight.producer.jobs")
    watching = Later("packsight.producer.watch.command")
    dead_letters = Later("packsight.producer.dead_letters")
    evaluation = Later("packsight.producer.evaluation.command")
    http = Later("packsight.producer.http.commands", extra="http")
    rights = Later("packsight.producer.http.rights", extra="http")
    reviews = Later("packsight.producer.reviews.command")

app = typer.Typer(help="Photos in, product matches out.")
letters_app = typer.Typer(no_args_is_help=True, help="Messages and photos that were put aside, with their cause.")
app.add_typer(letters_app, name="dead-letters")
jobs_app = typer.Typer(invoke_without_command=True)
app.add_typer(jobs_app, name="jobs")
keys_app = typer.Typer(no_args_is_help=True, help="Keys by which programs come in over HTTP.")
app.add_typer(keys_app, name="keys")
people_app = typer.Typer(no_args_is_help=True, help="People who sign in over HTTP.")
app.add_typer(people_app, name="people")
review_app = typer.Typer(no_args_is_help=True, help="Look at answers that want it, say what photos show, see what that comes to.")
app.add_typer(review_app, name="review")

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE…",
        help="Folders, image files, lists (.txt .csv .tsv .xlsx .jsonl .parquet, - for standard input), addresses, s3://bucket/prefix.",
    ),
]
Image = Annotated[str, typer.Argument(help="A file, an https:// address or s3://bucket/key.")]
Catalog = Annotated[str, typer.Option("--catalog", help="Catalog to look in.")]
TopK = Annotated[int, typer.Option("--top-k", min=1, max=50, help="Candidates per photo.")]
ReadAll = Annotated[
    bool, typer.Option("--read-all", help="Read every line of text, also when those read so far decide.")
]
MaxProducts = Annotated[int, typer.Option("--max-products", min=1, max=20, help="Products to look for on a photo.")]
Out = Annotated[
    list[Path] | None,
    typer.Option("--out", help="Write results to this .jsonl, .csv or .parquet file, or - for standard output; may be repeated."),
]
ReportFile = Annotated[Path | None, typer.Option("--report", help="Write a self-contained HTML report.")]
def _seconds(value: float) -> float:
    if not 1 <= value <= 86400:  # which no comparison says of `nan`
        raise typer.BadParameter(f"{value:g} is no number of seconds from 1 to 86400.")
    return value


def _precision(value: float) -> float:
    if not 0 < value <= 1:
        raise typer.BadParameter(f"{value:g} is no share above 0 and up to 1. Name one such as 0.98.")
    return value


Timeout = Annotated[float, typer.Option("--timeout", callback=_seconds, help="Seconds to wait for a worker, 1 to 86400.")]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Photos per message.")]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="PATTERN", help="Leave out photos or folders of such names; may be repeated."),
]
InFlight = Annotated[int, typer.Option("--max-in-flight", min=1, help="Messages that may wait for workers at a time.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")]


class Level(StrEnum):
    """The priorities of jobs, spelled here too: the contract's would load pydantic for `--help`."""

    high = "high"
    normal = "normal"
    low = "low"


PriorityOption = Annotated[
    Level, typer.Option("--priority", help="Which jobs' photos are taken first while those of several wait.")
]

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID…", help="Ids as `list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="All letters.")]
Name = Annotated[str, typer.Argument(metavar="NAME")]
Rights = Annotated[
    list[str] | None,
    typer.Option("--right", help="recognise, jobs, review or admin; may be repeated. Without it the first two, of people three."),
]
Catalogs = Annotated[list[str] | None, typer.Option("--catalog", help="Catalog to ask in; may be repeated. By default all.")]
MoreRights = Annotated[list[str] | None, typer.Option("--right", help="Further right; may be repeated.")]
MoreCatalogs = Annotated[list[str] | None, typer.Option("--catalog", help="Further catalog; may be repeated.")]
USUAL = ["recognise", "jobs"]
Code = Annotated[str | None, typer.Option("--code", help="All letters with this cause.")]


@app.command()
def submit(
    sources: Sources = None,
    catalog: Catalog = "default",
    top_k: TopK = 5,
    read_all: ReadAll = False,
    max_products: MaxProducts = 1,
    batch_size: BatchSize = 16,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until all is done; --out and --report imply it.")] = False,
    out: Out = None,
    report: ReportFile = None,
    column: Annotated[str | None, typer.Option("--column", help="Column of references in lists that have columns.")] = None,
    exclude: Exclude = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="JOB", help="Go on with an interrupted job.")
    ] = None,
    max_in_flight: InFlight = 64,
    name: Annotated[str, typer.Option("--name", help="What to call the job in lists.")] = "",
    priority: PriorityOption = Level.normal,
    as_json: Annotated[bool, typer.Option("--json", help="The job as one JSON object on standard output, at the end.")] = False,
) -> None:
    """Queue photos for recognition as a job.

    The job's id goes to standard output. Ctrl-C stops this command and never the job: --resume JOB queues what is left.
    Exit code 3: all is done, and some photos have failed.
    """
    commands.submit(
        sources or [],
        messages.parse_options(catalog=catalog, top_k=top_k, read_all=read_all, max_products=max_products),
        commands.Submission(
            batch_size=batch_size,
            wait=wait,
            out=out or [],
            report=report,
            column=column,
            exclude=exclude or [],
            resume=resume,
            max_in_flight=max_in_flight,
            name=name,
            priority=messages.Priority(priority.value),
            as_json=as_json,
        ),
    )


@app.command()
def watch(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A folder, or s3://bucket/prefix/.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the results; by default SOURCE, where each lies beside its photo.")
    ] = None,
    catalog: Catalog = "default",
    top_k: TopK = 5,
    read_all: ReadAll = False,
    max_products: MaxProducts = 1,
    name: Annotated[str, typer.Option("--name", help="What to call its jobs in lists.")] = "watch",
    priority: PriorityOption = Level.normal,
    exclude: Exclude = None,
    once: Annotated[bool, typer.Option("--once", help="End when all that is there is answered.")] = False,
) -> None:
    """Submit photos as they arrive in a folder or prefix, and write each one's outcome to NAME.packsight.json.

    Nothing is submitted twice, also when the command is ended and run again. A file that is still written to is left until it is
    whole.
    """
    options = messages.parse_options(catalog=catalog, top_k=top_k, read_all=read_all, max_products=max_products)
    watching.watch(source, out, options, jobs_of.parse_about(name=name, priority=priority.value), exclude or [], once=once)


@app.command()
def recognize(
    image: Image,
    catalog: Catalog = "default",
    top_k: TopK = 5,
    read_all: ReadAll = False,
    max_products: MaxProducts = 1,
    timeout: Timeout = 60,
) -> None:
    """Recognise one photo ahead of all jobs; its outcome goes to standard output as JSON, exit code 1 if it failed."""
    options = messages.parse_options(catalog=catalog, top_k=top_k, read_all=read_all, max_products=max_products)
    commands.recognize(image, options, timeout=timeout)


@app.command()
def explain(
    photo: Annotated[str, typer.Argument(metavar="PHOTO|JOB", help="A file, an https:// address, s3://bucket/key; or a job.")],
    image: Annotated[
        str | None, typer.Argument(metavar="IMAGE", help="Of a job: the photo's name or reference, or a part of it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Draw it into this .html or .png file; by default below PACKSIGHT_HOME.")
    ] = None,
    catalog: Catalog = "default",
    top_k: TopK = 5,
    max_products: MaxProducts = 1,
    timeout: Timeout = 60,
) -> None:
    """Show and draw why a photo got its answer: recognised now, or as a job's outcome tells."""
    options = messages.parse_options(catalog=catalog, top_k=top_k, read_all=True, max_products=max_products)
    explanation.explain(photo, image, out, options, timeout=timeout)


@app.command()
def results(
    job_id: Annotated[str, typer.Argument(metavar="JOB")],
    follow: Annotated[bool, typer.Option("--follow", help="Wait until every photo has its outcome.")] = False,
    out: Out = None,
    report: ReportFile = None,
) -> None:
    """Read a job's outcomes: counts, files of results, a report. Exit code 3: some photos have failed."""
    commands.results(job_id, follow=follow, out=out or [], report=report)


@jobs_app.callback()
def jobs(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Newest jobs to show.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List submitted jobs, newest first, with how their photos have ended."""
    if context.invoked_subcommand is None:
        commands.jobs(limit, as_json=as_json)


@jobs_app.command()
def retry(
    job_id: Annotated[str, typer.Argument(metavar="JOB")],
    code: Annotated[
        list[str] | None,
        typer.Option("--code", help="Failures to try again; may be repeated. Without it those that a retry can help."),
    ] = None,
) -> None:
    """Ask again about a job's failed photos, also those of a cancelled job; what the others got stands."""
    commands.retry(job_id, codes=code or [])


@jobs_app.command()
def cancel(job_id: Annotated[str, typer.Argument(metavar="JOB")]) -> None:
    """Have no more of a job's photos worked on; `submit --resume` takes it up again."""
    commands.cancel(job_id)


@jobs_app.command()
def delete(
    job_id: Annotated[str, typer.Argument(metavar="JOB")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a job, its results and its uploaded photos for good; what other jobs name stays."""
    commands.delete(job_id, yes=yes)


@app.command()
def evaluate(
    labels: Annotated[
        Path | None, typer.Argument(help="Table with the columns image and product_id (empty = not in the catalog).")
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="Folder of the photos; by default that of the labels.")
    ] = None,
    catalog: Catalog = "default",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all measures and one row per photo here.")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write a report with the wrong answers in pictures.")
    ] = None,
    ablation: Annotated[
        bool,
        typer.Option("--ablation", help="Compare ways of deciding: by parts of the evidence, by the formula of 2020, by all."),
    ] = False,
    drop_nearest: Annotated[
        bool, typer.Option("--drop-nearest", help="Ask also as if each photo's product had never been listed.")
    ] = False,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Ask the catalog's own photos too, each left out; needs no labels.")
    ] = False,
    kind: Annotated[str, typer.Option("--kind", help="Column whose `;`-separated values are measured apart.")] = "kind",
    precision: Annotated[
        float,
        typer.Option("--precision", callback=_precision, help="Precision that the best threshold has to keep, up to 1."),
    ] = 0.98,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Compare photo by photo with an earlier --json of the same labels."),
    ] = None,
) -> None:
    """Measure how well labelled photos, or the catalog's own, are recognised."""
    evaluation.evaluate(
        labels,
        root=root,
        catalog=catalog,
        json_file=json_file,
        html_file=html_file,
        ablation=ablation,
        drop_nearest=drop_nearest,
        leave_one_out=leave_one_out,
        kind=kind,
        precision=precision,
        against=against,
    )


@letters_app.command("list")
def list_letters(as_json: AsJson = False) -> None:
    """Show all letters, oldest first."""
    dead_letters.show(as_json=as_json)


@letters_app.command()
def replay(
    ids: Ids = None,
    everything: All = False,
    code: Code = None,
    payload: Annotated[
        Path | None, typer.Option(help="JSON file with the corrected argument, for a single letter.")
    ] = None,
) -> None:
    """Send letters again and take them off the list; prints the id of each new task."""
    dead_letters.replay(ids or [], everything=everything, code=code, payload=payload)


@letters_app.command()
def drop(ids: Ids = None, everything: All = False, code: Code = None) -> None:
    """Remove letters for good."""
    dead_letters.drop(ids or [], everything=everything, code=code)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on; 127.0.0.1 by PACKSIGHT_HTTP__HOST.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="8080 by PACKSIGHT_HTTP__PORT.")] = None,
) -> None:
    """Answer requests over HTTP: single photos, jobs, and a page for people."""
    http.serve(host, port)


@keys_app.command("add")
def add_key(name: Name, right: Rights = None, catalog: Catalogs = None) -> None:
    """Give a program a key, which goes to standard output this once; one that has a key gets a new one."""
    http.add_key(name, right or USUAL, catalog or [])


@keys_app.command("grant")
def grant_key(name: Name, right: MoreRights = None, catalog: MoreCatalogs = None) -> None:
    """Give a program further rights or catalogs; its key stays."""
    http.grant(rights.Kind.CLIENT, name, right or [], catalog or [])


@keys_app.command("list")
def list_keys() -> None:
    """Show the programs that have a key, and what they may do."""
    http.show(rights.Kind.CLIENT)


@keys_app.command("remove")
def remove_key(name: Name) -> None:
    """Take a program's key away."""
    http.remove(rights.Kind.CLIENT, name)


@people_app.command("add")
def add_person(name: Name, right: Rights = None, catalog: Catalogs = None) -> None:
    """Let a person sign in by a password, which is asked for or read from standard input; one who may already gets these."""
    http.add_person(name, right or [*USUAL, "review"], catalog or [])


@people_app.command("grant")
def grant_person(name: Name, right: MoreRights = None, catalog: MoreCatalogs = None) -> None:
    """Give a person further rights or catalogs; the password stays."""
    http.grant(rights.Kind.PERSON, name, right or [], catalog or [])


@people_app.command("list")
def list_people() -> None:
    """Show the people who may sign in, and what they may do."""
    http.show(rights.Kind.PERSON)


@people_app.command("remove")
def remove_person(name: Name) -> None:
    """Let a person sign in no more; sessions end too."""
    http.remove(rights.Kind.PERSON, name)


ReviewOf = Annotated[
    list[str] | None, typer.Argument(metavar="JOB…", help="Jobs to look in; by default the newest of the catalog.")
]
By = Annotated[str, typer.Option("--by", help="Who says so; by default the user of this machine.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Lines to show.")]


@review_app.command("list")
def list_waiting(jobs: ReviewOf = None, catalog: Catalog = "default", limit: Limit = 20, as_json: AsJson = False) -> None:
    """List what waits for a person, the most useful first: unsure answers, and a sample of those that are matched."""
    reviews.waiting(jobs or [], catalog, limit=limit, as_json=as_json)


@review_app.command()
def say(
    job_id: Annotated[str, typer.Argument(metavar="JOB")],
    index: Annotated[int, typer.Argument(metavar="PHOTO", min=0, help="Its number in the job, as `list` shows it.")],
    verdict: Annotated[str, typer.Argument(help="right, other, not_listed or bad_photo.")],
    product: Annotated[str, typer.Option("--product", help="Id of the product that the photo shows, with `other`.")] = "",
    by: By = "",
    complaint: Annotated[
        bool, typer.Option("--complaint", help="Somebody came upon the answer: it tells nothing of others, and is in no figure.")
    ] = False,
    catalog: Catalog = "default",
) -> None:
    """Say what a photo shows."""
    reviews.say(job_id, index, verdict, catalog, product=product, by=by, complaint=complaint)


@review_app.command()
def undo(verdict: Annotated[str, typer.Argument(metavar="ID")], by: By = "", catalog: Catalog = "default") -> None:
    """Take a verdict back."""
    reviews.undo(verdict, catalog, by=by)


@review_app.command("show")
def show_verdicts(catalog: Catalog = "default", limit: Limit = 20, as_json: AsJson = False) -> None:
    """Show what was said of photos, the latest first, and where people disagree."""
    reviews.show(catalog, limit=limit, as_json=as_json)


@review_app.command()
def search(words: Annotated[list[str], typer.Argument(metavar="WORD…")], catalog: Catalog = "default", limit: Limit = 20) -> None:
    """Find products of a catalog by words of their names, brands and codes."""
    reviews.search(words, catalog, limit=limit)


@review_app.command()
def export(
    file: Annotated[Path, typer.Argument(help="A .csv or .jsonl file.")],
    job: Annotated[list[str] | None, typer.Option("--job", help="Of this job alone; may be repeated.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="What waits, with columns to be filled in and imported.")] = False,
    catalog: Catalog = "default",
) -> None:
    """Write all verdicts into a file, or what waits for one."""
    reviews.export(file, job or [], catalog, waiting=waiting)


@review_app.command("import")
def import_verdicts(
    file: Annotated[Path, typer.Argument(help="A table with job and index, or image; verdict; product_id.")],
    job: Annotated[list[str] | None, typer.Option("--job", help="Jobs with these photos; by default the newest.")] = None,
    by: By = "",
    catalog: Catalog = "default",
) -> None:
    """Take in verdicts that were given elsewhere; rows that are wrong are told and left out."""
    reviews.take_in(file, job or [], catalog, by=by)


@review_app.command()
def figures(catalog: Catalog = "default", as_json: AsJson = False) -> None:
    """Say how many matched answers are wrong, by those drawn by lot; exit code 1 if the promise is surely broken."""
    reviews.figures(catalog, as_json=as_json)
