"""How well a catalog is recognised: labelled photos, or the catalog's own, asked in several ways and measured."""
