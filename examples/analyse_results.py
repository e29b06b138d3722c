"""Look into files of results as in a notebook: `python analyse_results.py results.parquet more.csv`.

Needs `pip install 'packsight[analysis]'`, and no stack.
"""

# %% One row per photo, whatever the kind of file
from __future__ import annotations

import sys

import packsight

results = packsight.read_results(sys.argv[1:])
print(results.status.value_counts().to_string())

# %% Where the time goes: seconds per stage
print(results.filter(like="seconds_").describe().loc[["count", "mean", "50%", "max"]].to_string())

# %% What failed, and whether sending it again can help
failed = results[results.status == "failed"]
print(failed.groupby(["failure_code", "retryable"], observed=True).size().to_string())

# %% What a person should look at: matches with little confidence
unsure = results[(results.status == "matched") & (results.confidence < 0.8)]
print(unsure.sort_values("confidence")[["name", "product_name", "confidence", "words"]].head(20).to_string(index=False))
