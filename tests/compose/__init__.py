"""docker-compose.yml built and run for real: needs an engine, so it is no part of `make test`."""
