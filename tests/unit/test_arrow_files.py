"""Tables of a version whose bytes lead outside of them are refused before a value is asked for."""

from __future__ import annotations

import struct
from pathlib import Path

import pyarrow as pa
import pytest

from packsight.shared.catalog.arrow_files import mapped


@pytest.mark.parametrize("offsets", [(0, 2, 400), (0, 3, 2), (0, -1, 4)])
def test_offsets_that_lead_outside_are_refused(tmp_path: Path, offsets: tuple[int, int, int]) -> None:
    file, table = tmp_path / "t.arrow", pa.table({"text": ["ab", "cd"]})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    whole, right = file.read_bytes(), struct.pack("=3i", 0, 2, 4)
    assert whole.count(right) == 1
    file.write_bytes(whole.replace(right, struct.pack("=3i", *offsets)))
    with pytest.raises(pa.ArrowInvalid):
        mapped(file)


def test_a_whole_table_is_mapped(tmp_path: Path) -> None:
    table = pa.table({"text": ["мыло", "", None], "tags": [["a"], [], ["b", "c"]]})
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert mapped(tmp_path / "t.arrow").equals(table)
