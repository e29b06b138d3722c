"""Ask for photos to be recognised from a service that has `celery[redis]` and nothing of packsight.

    BROKER_URL=redis://:PASSWORD@HOST:6379/0 RESULT_URL=redis://:PASSWORD@HOST:6379/1 \
        python enqueue_from_celery.py s3://photos/shelf/1.jpg https://example.com/2.jpg
"""

from __future__ import annotations

import os
import sys

from celery import Celery


def main(images: list[str]) -> None:
    """Send one message, wait for its result, print a line per photo."""
    app = Celery(broker=os.environ["BROKER_URL"], backend=os.environ["RESULT_URL"])
    app.conf.result_expires = 7 * 24 * 3600
    request = {"version": 1, "images": images, "catalog": "default", "top_k": 3}
    answer = app.send_task("packsight.recognize", args=[request])
    for outcome in answer.get(timeout=60)["outcomes"]:
        product = outcome.get("product") or {}
        print(outcome["image"], outcome["status"], product.get("name", ""), f"{outcome['confidence']:.2f}", sep="\t")


if __name__ == "__main__":
    main(sys.argv[1:])
