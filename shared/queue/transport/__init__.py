"""kombu's Redis transport, made so that no death of a worker or broker can lose a message.

kombu pops a message and records it as unacknowledged in two round trips; what dies in between takes the message
along. Here both are one script. Three things follow from owning the fetch: queues are served in strict order, a
message is only taken when a child is free for it, and what a living consumer holds is renewed, so that the visibility
timeout measures the silence of a dead worker and not the length of a task.

All keys keep kombu's names and forms: producers, inspectors and workers on the stock transport can share the broker.
One Redis server (or a primary with replicas) and no `global_keyprefix`: the script touches several keys at once.
Leases are renewed by the event loop, so use the prefork pool; a `solo` worker that is busy renews nothing.

Builds on internals of kombu and Celery; `contract` lists each of them, and a test compares the list with what is installed.
"""
