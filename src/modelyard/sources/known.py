"""The built-in data sets: what is known of each before it is read, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelyard.samples import Form, ImageForm


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of data before they are read; recipes are made from it."""

    name: str = ""
    """As `modelyard data list` shows it; empty for a path."""
    kind: str = "image"
    """A key of `samples.FORMS`."""
    easy: bool = False
    """Handwritten digits: a light network and few passes are enough; most images teach nothing after the
    first.
    """
    mirrors: bool = False
    """A mirror image means the same; never so of digits and letters."""
    centred: bool = False
    """What is shown stands always in one place."""
    form: Form | None = None
    """Of each sample; None: reading tells."""
    num_classes: int | None = None


UNKNOWN = Traits()
"""What a path tells."""


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A data set that has its name without having been imported."""

    traits: Traits
    layout: Literal["idx", "cifar", "scikit-learn", "tables", "docstrings"]
    """Of its files; scikit-learn brings its own along, and packages their docstrings."""
    torchvision: str = ""
    """The class of torchvision that lists where it is published; empty: nowhere that could be asked."""
    classes: tuple[str, ...] = ()
    """Of IDX files, which do not name them."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """IDX file -> sha256 of its decompressed content, as published with the original files."""


AUTO = ("mnist", "digits")
"""What `auto` stands for: the first of them that can be had; the last needs no network."""
GREY, COLOUR = ImageForm(1, 28, 28), ImageForm(3, 32, 32)
DIGITS = tuple("0123456789")
KNOWN: Mapping[str, BuiltIn] = {
    "digits": BuiltIn(
        Traits("digits", easy=True, form=GREY, num_classes=10), layout="scikit-learn", classes=DIGITS
    ),
    "mnist": BuiltIn(
        Traits("mnist", easy=True, form=GREY, num_classes=10),
        layout="idx",
        torchvision="MNIST",
        classes=DIGITS,
        digests={
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": BuiltIn(
        Traits("fashion-mnist", mirrors=True, centred=True, form=GREY, num_classes=10),
        layout="idx",
        torchvision="FashionMNIST",
        classes=(
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        digests={
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
    "kmnist": BuiltIn(
        Traits("kmnist", form=GREY, num_classes=10),
        layout="idx",
        torchvision="KMNIST",
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
    "cifar10": BuiltIn(
        Traits("cifar10", mirrors=True, form=COLOUR, num_classes=10), layout="cifar", torchvision="CIFAR10"
    ),
    "docstrings": BuiltIn(Traits("docstrings", kind="text", num_classes=6), layout="docstrings"),
    "trec": BuiltIn(Traits("trec", kind="text", num_classes=6), layout="tables"),
    "sst2": BuiltIn(Traits("sst2", kind="text", num_classes=2), layout="tables"),
    "sms-spam": BuiltIn(Traits("sms-spam", kind="text", num_classes=2), layout="tables"),
    "banking77": BuiltIn(Traits("banking77", kind="text", num_classes=77), layout="tables"),
    "chnsenticorp": BuiltIn(Traits("chnsenticorp", kind="text", num_classes=2), layout="tables"),
    "thucnews-titles": BuiltIn(Traits("thucnews-titles", kind="text", num_classes=10), layout="tables"),
}  # fmt: skip
