"""Samples without labels are read as the data were; none that is held out is among them."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modelyard.data.packed import open_unlabelled
from modelyard.errors import DataError, ModelyardError
from modelyard.home import Home
from modelyard.progress import RunProgress, use_progress
from modelyard.recipes.named import make_recipe
from modelyard.recipes.recipe import Recipe
from modelyard.sources.known import Traits
from modelyard.steps.brought_samples import bring_samples
from modelyard.steps.preparation import prepare
from tests.data.samples import image_folder
