"""A catalog version built whole from products, photos and features."""
