"""How the parts run: the local stack, container images, monitoring."""
