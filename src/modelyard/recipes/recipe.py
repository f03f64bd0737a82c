"""A recipe: every value of a run but the data and the seed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from modelyard.config import Config, Part, fields_of
from modelyard.data.splits import DataConfig
from modelyard.errors import ConfigError
from modelyard.inspection.validation import ValidationConfig
from modelyard.models import AnyModelConfig
from modelyard.promotion.limits import GatesConfig
from modelyard.sources.known import Traits
from modelyard.training.config import TrainingConfig, named_method
from modelyard.training.finetuning import FinetuneConfig
from modelyard.training.objectives import AnyPretext, DistilConfig
from modelyard.training.slices import ExportConfig


class Recipe(Config):
    """All that a run is made of, but for the data and the seed."""

    data: Annotated[DataConfig, Part.MADE] = DataConfig()
    model: Annotated[AnyModelConfig, Field(discriminator="architecture"), Part.MADE]
    training: Annotated[TrainingConfig, Part.MADE] = TrainingConfig()
    init: Annotated[str | None, Part.HOW] = None
    """What networks start from: `NAME@ALIAS`, a file of weights, a folder of Hugging Face's; what it holds is
    in the key."""
    pretrain: Annotated[
        Annotated[AnyPretext, Field(discriminator="method")] | None, BeforeValidator(named_method), Part.MADE
    ] = None
    """How networks are trained before they see a label; None: not at all."""
    finetune: Annotated[FinetuneConfig | None, Part.MADE] = None
    """What is trained of a network that starts from weights; None: all of it."""
    distil: Annotated[DistilConfig | None, Part.MADE] = None
    """Who teaches; None: nobody."""
    export: Annotated[ExportConfig, Part.MADE] = ExportConfig()
    validation: Annotated[ValidationConfig, Part.JUDGED] = ValidationConfig()
    """Judged before a training; no step depends on it."""
    gates: Annotated[GatesConfig, Part.JUDGED] = GatesConfig()
    """Judged at promotion; no step depends on them."""

    @model_validator(mode="after")
    def _input_is_possible(self) -> Self:
        """Told before a training, not after it."""
        if self.model.inputs is not None:
            self.check_input(self.model.inputs)
        return self

    def check_input(self, possible: Collection[str]) -> None:
        """Raises: ConfigError where the graph is to have another input than these."""
        wanted = self.export.input
        if wanted is not None and wanted not in possible:
            raise ConfigError(
                f"export.input: expected {' or '.join(possible)} for {self.model.architecture} with these "
                f"options, received {wanted[:40]!r}"
            )

    @model_validator(mode="after")
    def _learns_in_one_way(self) -> Self:
        asked = {
            "pretrain": self.pretrain, "distil": self.distil, "finetune": self.finetune, "init": self.init,
            "training.unlabelled": self.training.unlabelled,
        }  # fmt: skip
        given = [name for name, value in asked.items() if value is not None]
        if given and not self.model.is_network:
            raise ConfigError(f"{given[0]}: expected a network, received {self.model.architecture}")
        if "distil" in given and "training.unlabelled" in given:
            raise ConfigError("distil and training.unlabelled: expected one of the two, received both")
        if self.finetune is not None and self.pretrain is None and self.init is None:
            raise ConfigError(
                "finetune: expected weights to start from (--init PATH, or pretrain), received none"
            )
        return self

    def made_flat(self) -> dict[str, Any]:
        """The made parts by dotted keys, as a run's parameters."""
        parts = fields_of(Recipe, Part.MADE)
        return {key: value for key, value in self.flatten().items() if key.partition(".")[0] in parts}


Preset = Callable[[Traits], Recipe]
Presets = Mapping[str, Preset]
"""Preset by name, of one architecture."""
