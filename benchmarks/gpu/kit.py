"""Fill a folder with what the script needs on a machine without network: wheels that GPU images lack, and
MNIST.

python -m benchmarks.gpu.kit .gpu
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from modelyard.sources.idx import holds_idx
from modelyard.sources.mirrors import fetch_files
from modelyard.sources.named import local_folder

PACKAGES = (
    "pydantic",
    "pydantic-core",
    "annotated-types",
    "typing-inspection",
    "typing-extensions",
    "safetensors",
    "psutil",
)
"""Images with torch have numpy, pillow, filelock and mostly onnx; what lacks here makes only its own parts
fail.
"""
PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux_2_12_x86_64",
)
MOST_BYTES = 45 << 20


def main(folder: Path) -> None:
    """Write the folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "mnist").mkdir(parents=True)
    pinned = dict(re.findall(r"^([a-z-]+)==(\S+)", Path("requirements.lock").read_text(), re.MULTILINE))
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    wanted = [f"{name}=={pinned[name]}" for name in PACKAGES]
    subprocess.run(
        [*command, "--python-version", "3.12", "--implementation", "cp", *platforms, *wanted], check=True
    )
    if (local := local_folder("mnist")) is None:
        fetch_files("mnist", folder / "mnist")
    else:
        for file in local.glob("*-ubyte*"):
            shutil.copyfile(file, folder / "mnist" / file.name)
    assert holds_idx(folder / "mnist")
    files = [file for file in folder.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    print(f"{folder}: {len(files)} files, {size / (1 << 20):.1f} MiB")
    if size > MOST_BYTES:
        raise SystemExit(f"{folder} is larger than the {MOST_BYTES >> 20} MiB that travel")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
