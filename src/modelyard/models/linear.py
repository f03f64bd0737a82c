"""A linear model of the words and letters of a text. It is no network: `training/linear.py` fits it."""

from __future__ import annotations

from typing import ClassVar, Literal, NoReturn

from pydantic import Field

from modelyard.data.datasets import Split
from modelyard.errors import ConfigError
from modelyard.models.given import GivenConfig
from modelyard.samples import Form
from modelyard.samples.text_encodings import Strings


class LinearConfig(GivenConfig):
    """TF-IDF of words and of letters, and a linear support vector machine (Joachims 1998)."""

    is_network: ClassVar[bool] = False
    is_baseline: ClassVar[bool] = True
    architecture: Literal["linear"] = "linear"
    terms: Literal["words", "letters", "both"] | None = None
    """What is counted; None: what validation finds best."""
    words: int = Field(2, ge=1, le=5)
    """Words of the longest term."""
    letters: int = Field(5, ge=1, le=8)
    """Letters (characters, whether small or capital) of the longest term."""
    least: int = Field(1, ge=1)
    """Training texts that a term occurs in at least."""
    most: int = Field(100_000, ge=1, le=2**22)
    """Terms of words, and of letters, at most: `least` is raised until there are no more."""
    cost: float | None = Field(None, gt=0)
    """C of the support vector machine: what a mistake costs; None: what validation finds best."""
    weighting: Literal["idf", "bayes"] | None = None
    """`bayes`: a term counts for more against a class the more its share there differs from that elsewhere
    (Wang and Manning 2012); None: that, up to 20 classes."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Strings: it splits them itself."""
        return (Strings.name,)

    def symbols(self, train: Split) -> None:
        """It has tables of its own."""

    def build(self, form: Form, num_classes: int) -> NoReturn:
        """Raises: ConfigError: what asks for a network cannot do with it."""
        raise ConfigError("linear is no network; choose cnn, rnn or transformer for this")
