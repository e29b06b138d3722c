"""The shop's product feed and photos, read into offers."""
