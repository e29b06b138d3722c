"""What is believed before a catalog has shown anything: fitted on several catalogs together, shipped as data.

Every fit is drawn towards it, and without photos it stands alone. `python -m bench.prior FOLDER` fits it anew.
"""

from __future__ import annotations

from importlib.resources import files

from packsight.shared.catalog.decision_model import Model

PRIOR = Model.model_validate_json((files(__package__) / "prior.json").read_bytes())
