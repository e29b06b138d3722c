"""File names that promise a photo, for lists and folders; what a file holds is for the decoder to say."""

IMAGE_SUFFIXES = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif",
        ".hif",
    )
)  # fmt: skip
"""In lower case."""
