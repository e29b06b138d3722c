"""What is believed before a catalog has shown anything: fitted on several catalogs together, shipped as data.

Every fit is drawn towards it, and without photos it stands alone. `python -m bench.prior FOLDER` fits it anew.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from packsight.shared.catalog.decision_model import Model
from packsight.shared.contract.errors import CatalogError, UserError

PRIOR = Model.model_validate_json((files(__package__) / "prior.json").read_bytes())


def read_prior(file: Path | None) -> Model:
    """The prior that is shipped, or the one in a file; raises UserError when that holds none."""
    if file is None:
        return PRIOR
    try:
        prior = Model.model_validate_json(file.read_bytes())
        prior.check()
    except (OSError, ValidationError, CatalogError) as error:
        raise UserError(f"{file} holds no prior: {error}. `python -m bench.prior` writes one.") from None
    return prior
