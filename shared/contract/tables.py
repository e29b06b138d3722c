"""Tables that people hand over: CSV and TSV files of UTF-8 text whose first line names the columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from packsight.shared.contract.errors import UserError


def read_table(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a .csv or .tsv file by lower-cased column name; the header tells `,` from `;` and tab.

    Raises UserError when the file is not UTF-8 text or has no header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max("\t;,", key=header.count)
            names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
            if not any(names):
                raise UserError(f"{path} is empty. Its first line must name the columns.")
            for row in csv.DictReader(file, fieldnames=names, delimiter=delimiter):
                yield {
                    name: value or ""
                    for name, value in row.items()
                    if isinstance(name, str) and not isinstance(value, list)
                }
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a table of UTF-8 text ({error}). Save it as CSV with UTF-8 encoding.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
