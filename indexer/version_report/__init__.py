"""What a sync says of a version, kept with it in object storage."""
