"""How messages are held and handed out: Celery over an atomic Redis transport, and the books beside it."""
