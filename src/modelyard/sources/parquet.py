"""Parquet files that hold the bytes of images and their labels, as Hugging Face's data sets do: written out
as files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelyard.errors import DataError
from modelyard.sources.layout import split_of
from modelyard.sources.tables import LABELS, SPLITS, columns_of

TABLE = "parquet.jsonl"
HEAD_BYTES = 10_000_000
BATCH_BYTES = 2**28
"""Read at once, even where each row repeats the largest value that its group has room for."""


def unpack_parquet(path: Path, target: Path, most_bytes: int) -> int:
    """Write each image to a file in `target` and its label to a table there; gives the images' bytes.

    Raises: DataError for a file without images, a damaged one, or one of more than `most_bytes` unpacked.
    """
    try:
        from pyarrow import ArrowException
    except ImportError as error:
        raise DataError(
            f"{path}: parquet is read by pyarrow, which is missing; pip install pyarrow"
        ) from error
    total = 0
    try:
        with (target / TABLE).open("a") as table:
            for row, (content, label, split) in enumerate(_rows(path, most_bytes)):
                name = f"{path.stem}-{row:07}"
                if (total := total + len(content)) > most_bytes:
                    raise ValueError(f"more than {most_bytes / 1e9:.3g} GB; allow more by data.max_bytes")
                (target / name).write_bytes(content)
                table.write(
                    json.dumps({"file_name": name, "label": label, "split": split or split_of(path.stem)})
                    + "\n"
                )
    except (ArrowException, OSError, ValueError, TypeError, LookupError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{path}: cannot be read as parquet ({reason}); expected a column image with bytes, or text, "
            "and label"
        ) from error
    return total


def _rows(path: Path, most_bytes: int) -> Iterator[tuple[bytes, str | None, str]]:
    """Bytes of a picture, its label and its split. Raises: ArrowException, OSError, ValueError, TypeError,
    LookupError.
    """
    from pyarrow import types
    from pyarrow.parquet import ParquetFile

    with ParquetFile(
        path, thrift_string_size_limit=HEAD_BYTES, thrift_container_size_limit=HEAD_BYTES
    ) as file:
        schema = file.schema_arrow
        groups = [file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups)]
        if sum(groups) > most_bytes:
            raise ValueError(f"more than {most_bytes / 1e9:.3g} GB; allow more by data.max_bytes")
        structs = [
            f"{column.name}.bytes"
            for column in schema
            if types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0
        ]
        image = next(
            iter(
                [
                    *structs,
                    *(
                        column.name
                        for column in schema
                        if types.is_binary(column.type) or types.is_large_binary(column.type)
                    ),
                ]
            ),
            None,
        )
        columns = columns_of(schema.names)
        label, split = (
            next((columns[name] for name in known if name in columns), None) for known in (LABELS, SPLITS)
        )
        if image is None or label is None:
            raise ValueError(f"columns {', '.join(schema.names[:8])}")
        described = (
            json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        )
        names: list[str] = described.get(label, {}).get("names", [])
        for group, size in enumerate(groups):
            rows = max(1, min(64, BATCH_BYTES // max(1, size)))
            for batch in file.iter_batches(
                rows, [group], list(filter(None, [image, label, split])), use_threads=False
            ):
                for row in batch.to_pylist():
                    value: Any = row[label]
                    picture = row[image.removesuffix(".bytes")]
                    content = picture["bytes"] if isinstance(picture, dict) else picture
                    if not content or isinstance(value, list | dict):
                        raise ValueError("a row without bytes of a picture, or of more than one label")
                    name = (
                        None
                        if value is None or (names and value < 0)
                        else str(names[value] if names else value)
                    )
                    yield content, name, split_of(str(row.get(split or "", "")))
