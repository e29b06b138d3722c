"""What every section of the settings is, and what a secret in one must not be."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """Settings that belong together; what is none of them is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


EXAMPLE = "change-me"
"""What stands for a secret in examples, and is none."""


def _no_example(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value() == EXAMPLE:
        raise PydanticCustomError("example", "this is the example's value, which everybody knows: put a secret in its place")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_no_example)]
