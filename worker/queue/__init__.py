"""The Celery tasks around the pipeline, and what becomes of a batch whose child dies."""
