"""Throughput, latency, memory and accuracy, measured on this machine in one run: `python -m bench`."""
