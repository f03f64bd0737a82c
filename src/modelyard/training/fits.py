"""How models are fitted, and opened again: by architecture, the gradient loop where nothing else is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from modelyard.data.datasets import Dataset
from modelyard.data.packed import open_packed
from modelyard.machine.how import OnEpoch
from modelyard.training import gradient, linear
from modelyard.training.fitted import BUILD_FILE, Build, Fitted, TorchFitted
from modelyard.training.job import TrainJob
from modelyard.training.linear_fitted import LinearFitted

Fit = Callable[[TrainJob, Dataset, Path, OnEpoch], None]
FITS: Mapping[str, Fit] = {"linear": linear.fit}
OPENERS: Mapping[str, Callable[[Path, Build], Fitted]] = {"linear": LinearFitted.open}


def run_job(job: TrainJob, out: Path, on_epoch: OnEpoch) -> None:
    """Fit in this process; leaves the fitted model, `model.json` and `training.json` in `out`.

    Raises: what the fit raises.
    """
    dataset = open_packed(Path(job.data_folder), verify=False)
    FITS.get(job.model.architecture, gradient.fit)(job, dataset, out, on_epoch)


def open_fitted(folder: Path, own_file: str = "") -> Fitted:
    """The fitted model in `folder`; `own_file` is where the user's own module lies now, if it is one."""
    build = Build.model_validate_json((folder / BUILD_FILE).read_bytes())
    opener = OPENERS.get(build.model.architecture)
    return opener(folder, build) if opener else TorchFitted.open(folder, own_file)
