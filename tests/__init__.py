"""Tests. Several of their processes share the cores, so that each computes with one thread, as packsight's own do."""

import os

from packsight.shared.launch import ONE_THREAD

os.environ.update(ONE_THREAD | os.environ)
