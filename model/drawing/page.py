# SPDX-License-Identifier: Apache-2.0
"""Sheets as one HTML page that needs nothing else: pictures inside, text as text."""

import html
from collections.abc import Sequence

import numpy as np

from panpipe.model.drawing import panels, pictures, sheet

_STYLE = """
body { margin: 0 auto; padding: 1rem; max-width: 100rem; font: 16px/1.5 system-ui, sans-serif;
       color: #1c1e21; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; overflow-wrap: anywhere; }
.row { display: grid; gap: .6rem; margin: 0 0 .6rem; }
figure { margin: 0; } figure img { width: 100%; display: block; }
figcaption, .key { font-size: .85rem; color: #5f6670; }
.key { margin: .3rem 0; } .key b { margin-right: .8rem; }
.key span { margin-right: 1.2rem; white-space: nowrap; } .key small { color: #8a919b; }
.key i { display: inline-block; width: 1.2em; height: .9em; margin-right: .4em; vertical-align: -.1em; }
.key img { vertical-align: middle; margin-right: .4em; }
@media (prefers-color-scheme: dark) { body { color: #e6e8eb; background: #14171a; } }
@media (max-width: 46rem) { .row { grid-template-columns: 1fr !important; } }
"""


def render(title: str, sheets: Sequence[sheet.Sheet]) -> str:
    """Returns an HTML page of sheets under a title; keys that all sheets share stand once, at the end."""
    shared = [key for key in sheets[0].keys if _is_shared(key, sheets)] if sheets else []
    parts = [_sheet(each, {key.heading for key in shared}) for each in sheets]
    parts += [_key(key) for key in shared]
    body = '\n'.join(parts) or '<p>no pictures</p>'
    heading = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{heading}</title><style>{_STYLE}</style></head>\n<body><h1>{heading}</h1>\n{body}\n</body></html>\n'
    )


def _is_shared(key: sheet.Key, sheets: Sequence[sheet.Sheet]) -> bool:
    """Tells whether all of several sheets have this key, word by word."""
    text = _key(key)
    return len(sheets) > 1 and all(text in map(_key, each.keys) for each in sheets)


def _sheet(drawn: sheet.Sheet, left_out: set[str]) -> str:
    rows = [_row(row) for row in drawn.rows]
    keys = [_key(key) for key in drawn.keys if key.heading not in left_out]
    return '\n'.join([f'<section><h2>{html.escape(drawn.title)}</h2>', *rows, *keys, '</section>'])


def _row(row: Sequence[panels.Panel]) -> str:
    figures = [
        f'<figure><img src="{pictures.data_uri(panel.picture)}" alt="{html.escape(panel.caption)}">'
        f'<figcaption>{html.escape(panel.caption)}</figcaption></figure>'
        for panel in row
    ]
    return f'<div class="row" style="grid-template-columns: repeat({len(row)}, 1fr)">{"".join(figures)}</div>'


def _key(key: sheet.Key) -> str:
    return f'<p class="key"><b>{html.escape(key.heading)}</b>{" ".join(map(_entry, key.entries))}</p>'


def _entry(entry: sheet.Entry) -> str:
    if isinstance(entry.swatch, np.ndarray):
        swatch = f'<img src="{pictures.data_uri(entry.swatch)}" alt="">'
    else:
        red, green, blue = entry.swatch
        swatch = f'<i style="background: rgb({red}, {green}, {blue})"></i>'
    note = f' <small>{html.escape(entry.note)}</small>' if entry.note else ''
    return f'<span>{swatch}{html.escape(entry.text)}{note}</span>'
