"""Every error a user can meet. Exit code 2, unless a class says otherwise: the input or the machine has to
change.
"""

import errno
import json

from modelyard.terminal.printable import printable, shortened

MAX_QUOTED = 80


class ModelyardError(Exception):
    """Base of all; the text is one line: expected, received, remedy."""

    exit_code = 2

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(ModelyardError):
    """A recipe key is unknown or its value is illegal."""


class DataError(ModelyardError):
    """A data set is missing, damaged or unfit for a split."""


class DataRefused(DataError):
    """Data failed validation before an unattended training; `problems` are the reasons one by one."""

    def __init__(self, message: str, problems: list[str]) -> None:
        super().__init__(message)
        self.problems = problems


class DeviceError(ModelyardError):
    """The device asked for is not available; there is never a silent fallback."""


class TrainingError(ModelyardError):
    """Training stopped before its last epoch."""

    exit_code = 1


class TrainingKilledError(TrainingError):
    """The training's process was killed; its last checkpoint is there."""


class ExportError(ModelyardError):
    """torch could not write the model as ONNX."""


class ParityError(ModelyardError):
    """The exported graph does not answer as the torch model does."""

    exit_code = 1


class BundleError(ModelyardError):
    """A bundle's files are missing or do not match its manifest."""


class StoreError(ModelyardError):
    """The run store cannot be used as it is."""


class AnotherStoreError(StoreError):
    """Whoever was to work for a store has another one, or none."""


class AliasMovedError(StoreError):
    """An alias no longer points where it was seen."""


class PromotionError(ModelyardError):
    """A version may not be champion: it failed a gate."""

    exit_code = 1


class RemoteError(ModelyardError):
    """An MLflow server did not take what was sent; it is kept and sent later."""

    exit_code = 1


class UnreachableError(RemoteError):
    """The MLflow server cannot be asked at all: down, hanging, refusing."""


class RequestError(ModelyardError):
    """A request cannot be answered; `status` is the HTTP status for it, `reason` what counters call it where
    that is vague.
    """

    def __init__(self, message: str, status: int = 400, reason: str = "") -> None:
        super().__init__(shortened(message))
        self.status, self.reason = status, reason


def quoted(value: object) -> str:
    """A received value as an error shows it; a long text is cut, and nothing long or nested is ever written
    out.
    """
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        return repr(value) if len(value) <= MAX_QUOTED else f"{value[:MAX_QUOTED]!r}..."
    if isinstance(value, list) and (
        len(value) > 8 or not set(map(type, value)) <= {int, float, bool, type(None)}
    ):
        return f"a list of {len(value)}"
    return f"an object of {len(value)} keys" if isinstance(value, dict) else json.dumps(value)


def describe_fault(error: BaseException | None) -> str | None:
    """What to tell when the root of `error` is a full disk or a locked store, whoever met it, or a file that
    cannot be used.
    """
    cause = error
    while cause is not None:
        text = str(cause).strip()
        if getattr(cause, "errno", None) == errno.ENOSPC or "database or disk is full" in text:
            return (
                f"the disk is full ({text.splitlines()[0][:120]}); free space and run the same command again"
            )
        if "database is locked" in text:
            return (
                "the run store is locked by another program; end it (modelyard doctor) and run the "
                "same command again"
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, PermissionError) and error.filename:
        return (
            f"no permission: {error.filename}; run as its owner, or ask its owner for: modelyard store share"
        )
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}; mend it or name another"
    return None
