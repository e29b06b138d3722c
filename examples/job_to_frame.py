"""Recognise a folder of photos as a job and look at its results as a DataFrame: `python job_to_frame.py photos/`.

Needs `pip install 'packsight[analysis]'`; PACKSIGHT_BROKER_URL and the other settings are those of the command line.
"""

from __future__ import annotations

import sys

from packsight import Client


def main(folder: str) -> None:
    """Submit, wait, count."""
    with Client() as client:
        job = client.submit([folder], catalog="default", top_k=3)
        for _ in client.enqueue(job):
            pass
        results = client.frame(job, wait=True)
    print(results[["name", "status", "product_name", "confidence"]].to_string(index=False))
    print(results.status.value_counts().to_string())


if __name__ == "__main__":
    main(sys.argv[1])
