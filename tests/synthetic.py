# SPDX-License-Identifier: Apache-2.0
"""Small random panoptic maps, samples and data sets for the tests.

Maps are drawn from a numpy generator, so a hypothesis test draws a seed and calls
`panoptic_map(np.random.default_rng(seed), …)`: every case is told by one integer.
"""

import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from panpipe.model import datasets, tensors
from panpipe.model import labels as label_codec
from panpipe.model.inputs import records
from panpipe.pipelines import sources
from panpipe.pipelines.formats import maps, registry
from panpipe.pipelines.sources import entries

SMALL = label_codec.LabelSpec(num_classes=6, thing_ids=(2, 3, 5), label_divisor=100, ignore_label=255)


def panoptic_map(
    rng: np.random.Generator,
    labels: label_codec.LabelSpec = SMALL,
    height: int = 17,
    width: int = 23,
    *,
    instances: int = 6,
    crowd: bool = True,
    void: bool = True,
) -> np.ndarray:
    """Draws a map of stuff bands with thing boxes on them: int32 [height, width].

    Boxes overlap, so an instance may end up cut in two, or hidden altogether. With `crowd` one box is a crowd
    (a thing of instance 0), with `void` one box belongs to no segment.
    """
    stuff = labels.stuff_ids or (labels.ignore_label,)
    bands = np.sort(rng.integers(0, height, len(stuff) - 1))
    rows = np.searchsorted(bands, np.arange(height), side='right')
    ids = np.asarray(stuff)[rng.permutation(len(stuff))] * labels.label_divisor
    result = np.repeat(ids[rows][:, None], width, 1).astype(np.int32)
    counts = dict.fromkeys(labels.thing_ids, 0)
    for _ in range(instances if labels.thing_ids else 0):
        thing = int(rng.choice(labels.thing_ids))
        if counts[thing] + 1 < labels.label_divisor:
            counts[thing] += 1
            result[_box(rng, height, width)] = labels.encode(thing, counts[thing])
    if crowd and labels.thing_ids:
        result[_box(rng, height, width)] = labels.encode(int(rng.choice(labels.thing_ids)), 0)
    if void:
        result[_box(rng, height, width)] = labels.void
    return result


def _box(rng: np.random.Generator, height: int, width: int) -> tuple[slice, slice]:
    top, left = rng.integers(0, height), rng.integers(0, width)
    bottom = top + rng.integers(1, max(2, height // 2 + 1))
    right = left + rng.integers(1, max(2, width // 2 + 1))
    return slice(top, bottom), slice(left, right)


def sample(
    rng: np.random.Generator, labels: label_codec.LabelSpec = SMALL, height: int = 17, width: int = 23
) -> tensors.Sample:
    """Draws an image whose colours follow its panoptic map, with some noise."""
    panoptic = panoptic_map(rng, labels, height, width)
    hues = np.random.default_rng(0).integers(0, 256, (257, 3))
    noise = rng.integers(-20, 21, (height, width, 3))
    image = np.clip(hues[panoptic % 257] + noise, 0, 255).astype(np.uint8)
    return tensors.Sample('sample_000000', image, panoptic)


def toy(
    folder: pathlib.Path,
    dataset: str = 'cityscapes_panoptic',
    *,
    images: int = 2,
    height: int = 64,
    width: int = 128,
    seed: int = 0,
) -> pathlib.Path:
    """Writes the toy data set in its official layout, and returns its folder."""
    from panpipe.pipelines import toy as toy_job

    root = folder / f'toy_{dataset.removesuffix("_panoptic")}'
    arguments = ['--dataset', dataset, '--output', str(root), '--images', str(images), '--seed', str(seed)]
    status = toy_job.main([*arguments, '--height', str(height), '--width', str(width)])
    assert status == 0
    return root


def raw_records(
    root: pathlib.Path | str, spec: datasets.DatasetSpec, split: str = 'val'
) -> dict[str, records.Record]:
    """Reads the images of a raw data set with their labels, by name."""
    found = sources.module(spec).list_images(root, split, spec)
    return {entry.image_id: entries.load(entry) for entry in found}


def truths(root: pathlib.Path | str, spec: datasets.DatasetSpec, split: str = 'val') -> dict[str, np.ndarray]:
    """Reads the panoptic maps of a raw data set, int32 [height, width], by name."""
    return {name: record.panoptic for name, record in raw_records(root, spec, split).items()}


def write_predictions(
    folder: pathlib.Path,
    named: Mapping[str, np.ndarray],
    spec: datasets.DatasetSpec,
    *,
    semantic: Mapping[str, np.ndarray] | None = None,
    scores: Mapping[int, float] | None = None,
    has_instances: bool = True,
    ids: Mapping[str, str | int | None] | None = None,
) -> None:
    """Writes panoptic maps by image name as the predict job does; things score 1 unless `scores` tells."""
    form = registry.FORMATS[spec.format]
    for inner in form.FOLDERS if has_instances else form.PIXELS:
        (folder / inner).mkdir(parents=True)
    notes = []
    for name, panoptic in named.items():
        classes = (semantic or {}).get(name, spec.labels.decode(panoptic)[0])
        sure = {i: (scores or {}).get(i, 1.0) for i in _things(panoptic, spec.labels)}
        prediction = maps.Maps(
            name, panoptic, classes, sure if has_instances else None, (ids or {}).get(name)
        )
        notes.append(form.write(str(folder), prediction, spec))
    for file_name, parts in form.documents(Noted(notes), spec).items():
        (folder / file_name).write_text(''.join(parts))


class Noted:
    """Reads notes that are held in memory."""

    def __init__(self, notes: list[maps.Note]) -> None:
        self._notes = notes

    def by_name(self) -> Iterator[maps.Note]:
        return iter(sorted(self._notes, key=lambda note: note.name))

    def by_file(self) -> Iterator[maps.Note]:
        return iter(
            sorted(
                self._notes, key=lambda note: note.annotation['file_name'] if note.annotation else note.name
            )
        )


def _things(panoptic: np.ndarray, labels: label_codec.LabelSpec) -> list[int]:
    """Lists the panoptic ids of things that are no crowd."""
    classes, instances = labels.decode(np.unique(panoptic))
    is_thing = np.isin(classes, labels.thing_ids) & (instances > 0)
    return np.unique(panoptic)[is_thing].tolist()
