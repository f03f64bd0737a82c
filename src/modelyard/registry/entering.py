"""Entering versions into the ledger: from then on the digests of all their files are known."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.bundle import MODEL_FILE, read_bundle
from modelyard.errors import BundleError
from modelyard.progress import current_progress
from modelyard.releases import ledger_writer
from modelyard.releases.folders import demand_recorded, known_versions
from modelyard.releases.ledger import REGISTER, Entry, Ledger, read_ledger


def enter_versions(client: MlflowClient, folder: Path, new: int | None) -> None:
    """Enter each version of a model that its ledger lacks, if it is the one that was registered; the caller
    holds the lock.

    Versions but the `new` one are from before there were such entries, which is told. Raises: StoreError.
    """
    found = read_ledger(folder)
    lacking = [
        number
        for number in map(int, known_versions(folder.parent, folder.name))
        if number not in found.registered
    ]
    entries = [entry for number in lacking if (entry := _entry(client, folder / str(number), found))]
    if entries:
        ledger_writer.append(folder, entries)
    if older := [str(entry["version"]) for entry in entries if entry["version"] != new]:
        told = (
            f"the files of {folder.name}@{', '.join(older)} were entered into its ledger and are "
            "compared with it from now on"
        )
        current_progress.get().say(f"NOTE: {told}")


def _entry(client: MlflowClient, release: Path, found: Ledger) -> Entry | None:
    """The registration of a version, if its ONNX file is the one that registry and ledger know."""
    model, number = release.parent.name, int(release.name)
    known = [found.files_of(number)]
    with suppress(MlflowException):
        tags = client.get_model_version(model, str(number)).tags
        known += [{MODEL_FILE: tags["onnx_sha256"]}] if "onnx_sha256" in tags else []
    if not any(known):
        return None
    try:
        bundle = read_bundle(release)
        demand_recorded(bundle, *known)
    except BundleError as error:
        current_progress.get().say(f"NOTE: {model}@{number} was not entered into its ledger: {error}")
        return None
    return {"model": model, "action": REGISTER, "version": number, "files": bundle.digests}
