"""The demo: a small shop drawn by the project itself, and the run that recognises photos of its shelves."""
