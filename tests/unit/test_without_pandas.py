"""A process that refuses pandas is as one without it: for whoever asks, and for libraries that look for it."""

from __future__ import annotations

import subprocess
import sys

REFUSED = """
import sys
from importlib.util import find_spec
from packsight.worker.process.without_pandas import refuse_pandas
refuse_pandas()
"""


def said(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", REFUSED + script], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_whoever_asks_for_pandas_is_told_that_there_is_none() -> None:
    assert said("print(find_spec('pandas'), find_spec('pyarrow') is not None)") == "None True"
    assert said("try: import pandas\nexcept ModuleNotFoundError as error: print(error.name)") == "pandas"


def test_a_column_is_made_without_pandas() -> None:
    assert said("import pyarrow as pa; print(pa.array(['milk']).to_pylist(), 'pandas' in sys.modules)") == "['milk'] False"
