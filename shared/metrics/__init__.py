"""Figures for Prometheus: what is counted, how a worker's children tell it to their parent, and the page that is scraped."""
