"""A folder or prefix that is watched: what arrives there is submitted, and answered beside it."""
