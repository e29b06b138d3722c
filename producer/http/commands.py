"""What the commands of the HTTP door do: serve; keys of programs; people."""

from __future__ import annotations

import sys

import typer
from rich.table import Table

from packsight.producer.display import page
from packsight.producer.http.accounts import Accounts, ApiClient, Person
from packsight.producer.http.rights import Kind, Right
from packsight.producer.http.sessions import is_home_of_a_door
from packsight.shared import advice
from packsight.shared.contract.errors import UserError
from packsight.shared.progress import console
from packsight.shared.settings import act_as, load_settings

_KINDS: dict[Kind, type[ApiClient | Person]] = {Kind.CLIENT: ApiClient, Kind.PERSON: Person}


def serve(host: str | None, port: int | None) -> None:
    """Serve HTTP until told to stop."""
    from packsight.producer.http import server  # noqa: PLC0415 - the framework, of no use to keys and people

    act_as("http")
    settings = load_settings()
    chosen = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    server.serve(settings.model_copy(update={"http": settings.http.model_copy(update=chosen)}))


def add_key(name: str, rights: list[str], catalogs: list[str]) -> None:
    """Give a program a key and print it, this once; what signs its webhooks goes beside it to standard error."""
    client, key = _accounts().add_client(name, _rights(rights), _catalogs(catalogs))
    typer.echo(key)
    console.print(
        f"The key of [bold]{name}[/], shown this once: {_told(client)}. Its webhooks are signed with {client.webhook_secret}",
        highlight=False,
        soft_wrap=True,
    )


def add_person(name: str, rights: list[str], catalogs: list[str]) -> None:
    """Let a person sign in by a password that is asked for, or is the first line of standard input."""
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True) if sys.stdin.isatty() else ""
    password = password or sys.stdin.readline().rstrip("\n")
    person = _accounts().add_person(name, password, _rights(rights), _catalogs(catalogs))
    console.print(f"[bold]{name}[/] can sign in: {_told(person)}", highlight=False, soft_wrap=True)


def grant(kind: Kind, name: str, rights: list[str], catalogs: list[str]) -> None:
    """Give a program or person further rights or catalogs."""
    if not rights and not catalogs:
        raise UserError("Say what to give: --right RIGHT, --catalog CATALOG or both.")
    one = _accounts().grant(kind, name, _rights(rights), frozenset(catalogs))
    console.print(f"[bold]{name}[/] may now: {_told(one)}", highlight=False, soft_wrap=True)


def show(kind: Kind) -> None:
    """List programs or people."""
    table = Table("Name", "Rights", "Catalogs", "Since (UTC)", box=None, pad_edge=False)
    for one in _accounts().all():
        if isinstance(one, _KINDS[kind]):
            catalogs = "all" if one.catalogs is None else ", ".join(sorted(one.catalogs))
            table.add_row(one.name, ", ".join(sorted(one.rights)), catalogs, f"{one.created_at:%Y-%m-%d %H:%M}")
    command = "keys" if kind is Kind.CLIENT else "people"
    page.print(table if table.rows else f"There are none. `packsight {command} add NAME` adds one.")


def remove(kind: Kind, name: str) -> None:
    """Let a program or person in no more."""
    _accounts().remove(kind, name)
    console.print(f"{name} is let in no more.", highlight=False)


def _accounts() -> Accounts:
    settings = load_settings()
    # A container of the operator's has a home of its own, of which no door knows.
    if settings.redis.user == "operator" and advice.elsewhere(settings.home) and not is_home_of_a_door(settings.home):
        raise UserError(
            f"No HTTP door looks into {settings.home.absolute()}. Run this where the door runs: "
            "docker compose exec http packsight …, or kubectl exec -it deployment/http -- packsight …"
        )
    return Accounts(settings.home)


def _rights(names: list[str]) -> frozenset[Right]:
    try:
        return frozenset(Right(name) for name in names)
    except ValueError:
        wrong = ", ".join(sorted(set(names) - set(Right)))
        raise UserError(f"{wrong or 'Nothing'} is no right. There are {', '.join(Right)}.") from None


def _catalogs(names: list[str]) -> frozenset[str] | None:
    return frozenset(names) or None


def _told(one: ApiClient | Person) -> str:
    catalogs = "all catalogs" if one.catalogs is None else f"the catalogs {', '.join(sorted(one.catalogs))}"
    return f"{', '.join(sorted(one.rights))} in {catalogs}"
