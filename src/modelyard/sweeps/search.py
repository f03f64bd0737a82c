"""Optuna (the extra `hpo`): which values are tried next, and which trials are not worth their end.

One study for each architecture, kept as a journal in the sweep's folder, which several processes may write.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.errors import ConfigError
from modelyard.sweeps.request import Range, SweepRequest, as_text

if TYPE_CHECKING:
    import optuna

JOURNAL_FILE = "optuna.journal"


def need_optuna() -> None:
    """Raises: ConfigError naming the extra."""
    if find_spec("optuna") is None:
        raise ConfigError("--range needs optuna; install modelyard[hpo]")


def open_study(folder: Path, architecture: str, seed: int) -> optuna.Study:
    """The study of one architecture: TPE, and a median pruner after two trials."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    logging.getLogger("optuna").setLevel(logging.WARNING)
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / JOURNAL_FILE)))
    return optuna.create_study(
        storage=storage,
        study_name=architecture,
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1),
    )


def put_back_interrupted(study: optuna.Study) -> None:
    """Trials that a kill left unfinished are tried again with the same values, from their checkpoints."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params, skip_if_exists=True)


def num_missing(study: optuna.Study, request: SweepRequest) -> int:
    """Trials still to be made."""
    from optuna.trial import TrialState

    return max(0, request.trials - len(study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED])))


def suggest(trial: optuna.Trial, ranges: tuple[Range, ...]) -> list[str]:
    """The assignments of one trial."""
    return [as_text(chosen, _value(trial, chosen)) for chosen in ranges]


def _value(trial: optuna.Trial, chosen: Range) -> Any:
    if chosen.choices:
        return trial.suggest_categorical(chosen.key, chosen.choices)
    if chosen.whole:
        return trial.suggest_int(chosen.key, int(chosen.low), int(chosen.high), log=chosen.log)
    return trial.suggest_float(chosen.key, chosen.low, chosen.high, log=chosen.log)
