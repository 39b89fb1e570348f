# SPDX-License-Identifier: Apache-2.0
"""The page of a data set: advice, classes by split, things that vanish, and images that look odd."""

import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jinja2

from panpipe.model import errors
from panpipe.model.drawing import pictures
from panpipe.model.inputs import records
from panpipe.model.metrics import data_findings, data_statistics
from panpipe.pipelines.record_files import lookup
from panpipe.pipelines.reporting import charts

_PICTURES = 6  # of a kind
_WIDTH = 320  # pixels


class Row(NamedTuple):
    """Holds pictures that stand side by side, and a caption."""

    caption: str
    uris: tuple[str, ...]


def render(facts: data_statistics.Statistics, found: data_findings.Findings) -> str:
    """Makes the page.

    Args:
      facts: content of statistics.json.
      found: what looks odd.
    """
    text = (
        importlib.resources.files('panpipe.pipelines.reporting')
        .joinpath('templates', 'data.html')
        .read_text()
    )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text).render(
        facts=facts,
        found=found,
        advice=data_findings.advice(found),
        plots=plots(found.classes),
        galleries={title: list(rows) for title, rows in _galleries(found).items()},
    )


def plots(classes: Sequence[data_findings.ClassFindings]) -> dict[str, str]:
    """Draws classes by split, and the things that vanish: title → `<svg>` element."""
    seen = [one for one in classes if any(one.shares.values())]
    drawn = {}
    if seen:
        splits = seen[0].shares.keys()
        series = {split: [100 * one.shares[split] for one in seen] for split in splits}
        names = [one.name for one in seen]
        drawn['Share of the labelled pixels, per cent'] = charts.bars(names, series, is_log=True)
        series = {split: [100 * one.images[split] for one in seen] for split in splits}
        drawn['Share of the images, per cent'] = charts.bars(names, series)
    things = [one for one in classes if one.things]
    if things:
        lost = {
            f'output stride {stride}': [100 * one.vanished.get(str(stride), 0) / one.things for one in things]
            for stride in data_findings.STRIDES
        }
        title = 'Things without a pixel on the grid of an output stride, per cent'
        drawn[title] = charts.bars([one.name for one in things], lost)
    return drawn


def _galleries(found: data_findings.Findings) -> Mapping[str, Iterator[Row]]:
    pairs = [
        (f'{twins.first.name} ({twins.first.split}), {twins.second.name} ({twins.second.split})', twins)
        for twins in found.twins[:_PICTURES]
    ]
    rows = {'Images that look alike': _rows((name, (twins.first, twins.second)) for name, twins in pairs)}
    kinds = {'Labels without a segment': found.empty, 'Labels without a thing': found.without_things}
    for title, examples in kinds.items():
        rows[title] = _rows(
            (f'{image.name} ({image.split})', (image,)) for image in examples.images[:_PICTURES]
        )
    return rows


def _rows(wanted: Any) -> Iterator[Row]:
    for caption, images in wanted:
        uris = tuple(uri for image in images if (uri := _uri(image)))
        if uris:
            yield Row(caption, uris)


def _uri(image: data_findings.Image) -> str:
    """Reads an image from its record and draws it small; empty where that fails."""
    try:
        serialized = next(lookup.find([image.file], image.name), None)
        if serialized is None:
            return ''
        pixels = records.decode_image(records.parse(serialized).encoded, image.name)
    except errors.InputError:
        return ''
    return pictures.data_uri(pictures.fit(pixels, _WIDTH, is_label=False))
