"""Photos made from products' only photos, so that these can be asked about too."""
