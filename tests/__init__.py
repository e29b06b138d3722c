"""Tests. Several of their processes share the cores, so that each computes with one thread, as packsight's own do."""

import os

from packsight.shared.launch import FRUGAL

os.environ.update(FRUGAL | os.environ)
