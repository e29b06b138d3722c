"""From product feed and photos to a published catalog version."""
