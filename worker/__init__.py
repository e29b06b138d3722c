"""Image bytes in, product matches out."""
