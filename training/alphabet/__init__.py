"""Heads that read further alphabets, on the backbone of the bundled recogniser."""
