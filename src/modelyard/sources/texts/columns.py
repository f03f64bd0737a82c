"""Which columns of a table are the texts, the labels and the splits: as asked, else as their names tell, else
as the first rows do where that is clear.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.sources.layout import split_of
from modelyard.sources.names import nearest
from modelyard.sources.tables import LABELS as COMMON_LABELS
from modelyard.sources.tables import SPLITS
from modelyard.terminal.printable import listed

TEXTS = frozenset((
    "text", "texts", "sentence", "sentences", "review", "reviews", "reviewtext", "reviewbody",
    "message", "messages", "msg", "sms", "content", "contents", "comment", "comments", "commenttext",
    "commentbody", "tweet", "tweets", "tweettext", "question", "questiontext", "query", "queries",
    "utterance", "utterances", "title", "titles", "headline", "headlines", "body", "document",
    "documents", "doc", "post", "posts", "article", "articles", "description", "abstract", "summary",
    "phrase", "snippet", "passage", "string", "input", "prompt", "email", "transcript", "v2", "文本",
    "内容", "评论", "句子", "标题", "正文", "问题", "テキスト", "文章", "본문", "텍스트",
))  # fmt: skip
"""Names of columns, without case and signs. Of several the one called text counts, else the one of many
words.
"""
EXACT = ("text", "texts", "文本")
LABELS = (
    *COMMON_LABELS,
    "sentiment", "emotion", "intent", "topic", "polarity", "rating", "stars", "score", "section", "genre",
    "subject", "department", "language", "lang", "type", "verdict", "answer", "cat", "v1", "类别", "标签",
    "分类", "情感", "ラベル", "カテゴリ", "라벨",
)  # fmt: skip
WORDY = re.compile(
    r"[^\W\d_]\S*\s(?:.*\s)?\S*[^\W\d_]|[\u0e00-\u0fff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{3}",
    re.DOTALL,
)
"""Two words, or letters of a script that is written without spaces."""
WORDY_CHARACTERS = 200
NUMBER = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*")


MOST_VARIETY = 0.5
"""Of labels: the share of different values."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Places of columns; None where there is none."""

    sample: int
    label: int | None
    split: int | None


@dataclass(frozen=True, slots=True)
class Head:
    """The names of a table's columns and its first rows."""

    names: tuple[str, ...]
    rows: Sequence[Sequence[object]]

    @property
    def by_meaning(self) -> dict[str, int]:
        """Names without case and signs -> place; of two the first."""
        plain = [re.sub(r"[\W_]", "", name).casefold() for name in self.names]
        return {name: plain.index(name) for name in plain if name}

    def values(self, column: int) -> list[str]:
        """Those of the first rows that are not empty."""
        found = (row[column] for row in self.rows if column < len(row))
        return [str(value) for value in found if value is not None and value != ""]

    def variety(self, column: int) -> float:
        """The share of different values."""
        values = self.values(column)
        return len(set(values)) / max(1, len(values))

    def is_wordy(self, column: int) -> bool:
        """Whether most values are more than a word or a number."""
        values = self.values(column)
        return 2 * sum(bool(WORDY.search(value[:WORDY_CHARACTERS])) for value in values) > len(values)


def chosen_columns(head: Head, options: FolderOptions) -> Columns:
    """Raises: DataError, without the file's name, where it is not clear which are meant."""
    sample = _asked(head, options.sample_column, "sample_column")
    label = _asked(head, options.label_column, "label_column")
    split = _split(head)
    if label is None:
        label = next((head.by_meaning[name] for name in LABELS if name in head.by_meaning), None)
        label = None if label == sample else label
    taken = {sample, label, split}
    if sample is None:
        sample = _sample(head, [column for column in range(len(head.names)) if column not in taken])
        if sample is None and label is None and len(head.names) - (split is not None) == 2:
            pair = [column for column in range(len(head.names)) if column != split]
            sample = max(pair, key=head.variety)
            if head.variety(pair[0]) == head.variety(pair[1]):
                sample = next(iter([column for column in pair if head.is_wordy(column)]), None)
    if sample is None:
        raise DataError(_unclear(head, "texts", "--text-column"))
    if label is None:
        rest = [column for column in range(len(head.names)) if column not in {sample, split}]
        few = [
            column for column in rest if not head.is_wordy(column) and head.variety(column) <= MOST_VARIETY
        ]
        likely = few if len(rest) > 1 else rest
        label = likely[0] if len(likely) == 1 else None
    if sample == label:
        raise DataError(f"the column {head.names[sample]} cannot be both texts and labels")
    return Columns(sample, label, split)


def same_columns(head: Head, names: Sequence[str], before: Columns) -> Columns:
    """Those of another table that are called as in the first, whose names these are; it may have no labels.

    Raises: DataError, without the file's name, where it has no texts.
    """
    place = {name: head.names.index(name) for name in names if name in head.names}
    sample = place.get(names[before.sample])
    if sample is None:
        raise DataError(
            f"no column {names[before.sample]}, as the other tables have it; it has the columns "
            f"{listed(head.names, 20)}"
        )
    label = None if before.label is None else place.get(names[before.label])
    return Columns(sample, label, _split(head))


def _asked(head: Head, name: str | None, option: str) -> int | None:
    """Raises: DataError where it is not there."""
    if name is None:
        return None
    if name not in head.names:
        raise DataError(
            f"no column {name!r}{nearest(name, head.names)}, as data.{option} says; it has the columns "
            f"{listed(head.names, 20)}"
        )
    return head.names.index(name)


def _split(head: Head) -> int | None:
    place = next((head.by_meaning[name] for name in SPLITS if name in head.by_meaning), None)
    return place if place is not None and any(map(split_of, head.values(place))) else None


def _sample(head: Head, free: Sequence[int]) -> int | None:
    named = [
        head.by_meaning[name] for name in head.by_meaning if name in TEXTS and head.by_meaning[name] in free
    ]
    exact = [head.by_meaning[name] for name in EXACT if name in head.by_meaning]
    if found := [column for column in exact if column in named] or (named if len(named) == 1 else []):
        return found[0]
    wordy = [column for column in named or free if head.is_wordy(column)]
    if len(wordy) > 1:
        raise DataError(_unclear(head, "texts", "--text-column", wordy))
    return wordy[0] if wordy else None


def _unclear(head: Head, what: str, flag: str, several: Sequence[int] = ()) -> str:
    names = listed(head.names, 20)
    if several:
        both = " and ".join(head.names[column] for column in several[:4])
        return f"{both} may all be the {what}; choose one by {flag} (columns: {names})"
    return f"no column is clearly the {what}; choose one by {flag} (columns: {names})"


def missing_labels(head: Head, sample: int) -> str:
    """What to say where no column is clearly that of the labels."""
    others = [name for place, name in enumerate(head.names) if place != sample]
    if not others:
        return "has no column of labels beside its texts; expected one called label"
    return _unclear(head, "labels", "--label-column")


def names_pictures(head: Head, endings: frozenset[str], stems: frozenset[str]) -> bool:
    """Whether a column names files of pictures, by their endings or without."""
    for column in range(len(head.names)):
        values = head.values(column)
        last = [value.replace("\\", "/").rpartition("/")[2] for value in values]
        named = sum(name[name.rfind(".") :].lower() in endings for name in last if "." in name)
        if values and 2 * max(named, sum(name in stems for name in last)) >= len(values):
            return True
    return False


def is_clear(head: Head, options: FolderOptions) -> bool:
    """Whether the table holds texts, as far as names and first rows tell."""
    if options.sample_column is not None:
        return True
    known = head.by_meaning.keys()
    if known & TEXTS and not all(map(NUMBER.fullmatch, head.values(_first(head)))):
        return True
    return any(head.is_wordy(column) for column in range(len(head.names)) if head.values(column))


def _first(head: Head) -> int:
    return next(head.by_meaning[name] for name in head.by_meaning if name in TEXTS)
