"""What is known of a photo from its pixels alone."""
