"""What is not read, and what to do with it: addresses, other kinds of files, labels other than one class for
each picture.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import NoReturn

from modelyard.errors import DataError
from modelyard.samples.formats import ENDINGS
from modelyard.samples.scan import Scan, is_picture

WANTED = (
    "expected a folder of class folders, a zip or tar archive, a csv, tsv or jsonl table "
    "of file names and labels or of texts and labels, or parquet"
)
NO_CLASSES = re.compile(
    r"images?|imgs?|jpegimages|labels?|masks?|annotations?|trimaps|segmentation(class|object)", re.IGNORECASE
)
"""Folders of pictures and of what goes with them, if there is no other."""
ANNOTATIONS = {
    "COCO annotations": r"(.*/)?(annotations?/.*|instances_.*|.*coco.*|_annotations.*)\.json",
    "Pascal VOC annotations": r".*\.xml",
    "YOLO boxes": r"(.*/)?labels/.*\.txt|(.*/)?(data|dataset)\.ya?ml",
}
FILES = {
    "text": ".txt.md.log.html.xml.yaml.yml.json.pdf.doc.docx.",
    "a spreadsheet": ".xls.xlsx.ods.",
    "a video": ".mp4.avi.mov.mkv.webm.m4v.wmv.",
    "a picture of a kind that is not read": ".heic.heif.svg.eps.psd.dcm.nii.",
    "a database": ".db.sqlite.sqlite3.mdb.",
    "an array": ".npy.npz.h5.hdf5.mat.arrow.feather.tfrecord.tfrecords.",
    "an archive of another kind": ".7z.rar.gz.bz2.xz.zst.",
    "a pickle, which may run a program": ".pkl.pickle.pt.pth.joblib.",
}


def check_address(name: str) -> None:
    """Raises: DataError for `s3://...` and its like, which are no paths."""
    if found := re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name):
        raise DataError(f"{name}: {found[0]} is not read; download it first and give its path: {WANTED}")


def refuse_file(path: Path) -> NoReturn:
    """Raises: DataError that says what kind of file it is."""
    kinds = (what for what, known in FILES.items() if path.suffix and f"{path.suffix.lower()}." in known)
    is_one = path.suffix.lower() in ENDINGS or is_picture(str(path))
    unnamed = (
        f"a zip archive; call it {path.name}.zip"
        if not path.suffix and zipfile.is_zipfile(path)
        else "a file"
    )
    raise DataError(f"{path}: is {'one picture' if is_one else next(kinds, unnamed)}; {WANTED}")


def looks_like(scan: Scan) -> str:
    """More of a refusal: what the folder holds in place of classes, where it can be told."""
    found = (
        what
        for what, pattern in ANNOTATIONS.items()
        if any(re.fullmatch(pattern, path, re.I) for path in scan.others)
    )
    what = next(
        found, "masks of segmentation" if any("mask" in folder.lower() for folder in scan.folders) else ""
    )
    return (
        f"; it looks like {what}, which is not read: sort the images into a folder for each class"
        if what
        else ""
    )
