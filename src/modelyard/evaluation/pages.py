"""A table as an HTML page of its own: no script, nothing loaded."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from modelyard.terminal.printable import printable

STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em;max-width:75em}"
    "table{border-collapse:collapse}"
    "td,th{padding:.3em .8em;text-align:start;vertical-align:top;border-bottom:1px solid #ddd}"
    "td{unicode-bidi:isolate;overflow-wrap:anywhere}"
)


def table_page(title: str, note: str, rows: Sequence[Mapping[str, object]]) -> str:
    """Rows with equal keys; whatever their values hold, they are only shown. Each cell has the writing
    direction of its own text.
    """
    columns = list(rows[0]) if rows else []
    head = "".join(f"<th>{_escaped(name)}</th>" for name in columns)
    lines = [
        f"<tr>{''.join(f'<td dir=auto>{_escaped(row[name])}</td>' for name in columns)}</tr>" for row in rows
    ]
    return (
        f"<!DOCTYPE html>\n<html lang=en><meta charset=utf-8><title>{_escaped(title)}</title>"
        f"<style>{STYLE}</style>\n<h1>{_escaped(title)}</h1>\n<p>{_escaped(note)}</p>\n"
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody></table>\n"
    )


def _escaped(value: object) -> str:
    return html.escape(printable(value))
