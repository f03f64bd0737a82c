"""What a new user waits for: own pictures as they are, one command, a registered model, one prediction.

    python -m benchmarks.own_images [ARCHIVE ...] [--preset sprint]

Each archive, and 48 made photos of 1600 x 1200 pixels, go through `modelyard run` with an empty store and
cache, all three architectures; then the champion classifies one picture. Seconds are those of both commands;
the memory is that of the largest process (`getrusage`, children that were waited for).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS, SIZE = 24, (1600, 1200)


def make_photos(folder: Path) -> Path:
    """Two classes of striped photos, JPEG."""
    across, down = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    for label, (name, place) in enumerate((("upright", across), ("level", down))):
        (folder / name).mkdir(parents=True)
        for number in range(PHOTOS):
            generator = np.random.default_rng(1000 * label + number)
            wave = 127 + 90 * np.sin(place * 2 * np.pi / 400 + generator.uniform(0, 6))
            noise = generator.normal(0, 12, (*wave.shape, 3))
            pixels = (wave[..., None] * (1, 0.5 + label / 2, 0.3) + noise).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:03}.jpg")
    return folder


def a_picture(source: Path, scratch: Path) -> Path:
    """One picture of a folder or of a zip archive, as a file."""
    if source.is_dir():
        return next(source.rglob("*.jpg"))
    with zipfile.ZipFile(source) as archive:
        name = next(name for name in archive.namelist() if name.endswith((".png", ".jpg")))
        return Path(archive.extract(name, scratch))


def measure(source: Path, preset: str) -> dict[str, object]:
    """Seconds of `run` and of `predict`, the largest process, the board's accuracies."""
    with tempfile.TemporaryDirectory() as folder:
        places = {"MODELYARD_HOME": f"{folder}/home", "MODELYARD_CACHE": f"{folder}/cache"}
        begun = time.perf_counter()
        run = _modelyard(["run", "--dataset", str(source), "--preset", preset, "--json"], places)
        trained = time.perf_counter()
        picture = a_picture(source, Path(folder))
        answer = json.loads(_modelyard(["predict", str(picture), "--json"], places).splitlines()[0])
        ended = time.perf_counter()
    rows = json.loads(run.splitlines()[-1])["board"]
    return {
        "data": source.name,
        "preset": preset,
        "run s": round(trained - begun, 1),
        "predict s": round(ended - trained, 1),
        "largest process MB": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3),
        "test %": {row["architecture"]: row["test %"] for row in rows},
        "predicted": answer["label"],
    }


def _modelyard(words: list[str], places: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "modelyard", *words],
        env=os.environ | places,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"modelyard {words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archives", nargs="*", type=Path)
    parser.add_argument("--preset", default="sprint")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(make_photos(Path(folder) / "photos"), "smoke")), flush=True)
    for archive in arguments.archives:
        print(json.dumps(measure(archive, arguments.preset)), flush=True)


if __name__ == "__main__":
    main()
