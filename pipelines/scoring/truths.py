# SPDX-License-Identifier: Apache-2.0
"""Ground truth of raw data sets as the official evaluators take it.

Each file is read and checked as `panpipe convert` does it.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from panpipe.model import datasets, errors, image_files
from panpipe.model.metrics import masks
from panpipe.model.storage import files
from panpipe.pipelines import sources
from panpipe.pipelines.formats import png
from panpipe.pipelines.scoring import made_truths, official_python, panoptic_files
from panpipe.pipelines.sources import cityscapes as cityscapes_source
from panpipe.pipelines.sources import documents, images, label_numbers, names, polygons

Panoptic = panoptic_files.Panoptic
_LABEL_IDS = '_gtFine_labelIds.png'
_INSTANCE_IDS = '_gtFine_instanceIds.png'
_COMPARED = 4  # label-id PNGs with panoptic ones, which takes time; a script changes all of them
_CITYSCAPES = datasets.SPECS['cityscapes_panoptic']
_OF_COCO_FORM = tuple(spec for spec in datasets.SPECS.values() if spec.format == 'coco')


def cityscapes(root: pathlib.Path, split: str, scratch: pathlib.Path, python: str) -> Panoptic:
    """Finds the panoptic ground truth with label ids, or makes it in `scratch` from what there is.

    Raises:
      errors.InputError: there is none, or it is damaged.
    """
    folder, name = root / 'gtFine', f'cityscapes_panoptic_{split}'
    if (folder / f'{name}.json').is_file():
        return _cityscapes(documents.read(str(folder / f'{name}.json')), folder / name)
    maps = sorted(folder.glob(f'{split}/*/*{_INSTANCE_IDS}'))
    if maps:
        label_numbers.check_split(list(map(str, maps)), have_instances=True)
        for path in maps:
            cityscapes_source.instance_ids(str(path), _CITYSCAPES).read()  # names what the program stops at
        official_python.call(python, 'cityscapes_panoptic_images.py', str(folder), str(scratch), split)
        return _cityscapes(documents.read(str(scratch / f'{name}.json')), scratch / name)
    if (folder / f'{name}_trainId.json').is_file():
        document = documents.read(str(folder / f'{name}_trainId.json'))
        return _cityscapes(_with_label_ids(document), folder / f'{name}_trainId')
    raise errors.InputError(
        f'{folder} has no ground truth of the split {split!r}: neither {name}.json, nor '
        f'{split}/CITY/*{_INSTANCE_IDS} or *{polygons.SUFFIX}, nor {name}_trainId.json; check '
        '--ground_truth and --split'
    )


def with_maps(root: pathlib.Path, split: str, scratch: pathlib.Path) -> pathlib.Path:
    """Returns the root of a Cityscapes split; if its labels are polygons alone, a folder with their maps.

    Raises:
      errors.InputError: a file of polygons is wrong.
    """
    folder, name = root / 'gtFine', f'cityscapes_panoptic_{split}'
    is_drawn = any((folder / f'{name}{form}.json').is_file() for form in ('', '_trainId')) or any(
        folder.glob(f'{split}/*/*{_INSTANCE_IDS}')
    )
    paths = [] if is_drawn else cityscapes_source.polygon_files(str(root), split)
    made = scratch / 'drawn'
    for path in map(pathlib.Path, paths):
        numbers = cityscapes_source.drawing(str(path), _CITYSCAPES).numbers()
        place = made / path.relative_to(root).parent / path.name.removesuffix(polygons.SUFFIX)
        png.save(f'{place}{_INSTANCE_IDS}', numbers.astype(np.uint16))
        label_ids = np.where(numbers < 1000, numbers, numbers // 1000)
        png.save(f'{place}{_LABEL_IDS}', label_ids.astype(np.uint8))
    return made if paths else root


def _cityscapes(document: documents.Document, folder: pathlib.Path) -> Panoptic:
    return panoptic_files.open_files(document, str(folder), _CITYSCAPES, are_names_ids=True)


def label_ids(root: pathlib.Path, split: str) -> dict[str, str]:
    """Finds the label-id PNGs of a split of Cityscapes: path by image."""
    paths = sorted(root.glob(f'gtFine/{split}/*/*{_LABEL_IDS}'))
    return {names.normal(path.name).removesuffix(_LABEL_IDS): str(path) for path in paths}


def label_id_files(
    found: Mapping[str, str], truth: Panoptic | None, wanted: Sequence[str], scratch: pathlib.Path
) -> list[str]:
    """Names the label-id PNG of each wanted image, and makes those in `scratch` that must be made.

    Those are the ones that were not downloaded, and those with a palette, which the evaluator refuses.

    Raises:
      errors.InputError: a PNG is damaged, or its numbers are no label ids.
    """
    chosen = {}
    numbers = {}
    for name in wanted:
        place = scratch / f'{names.last(name)}{_LABEL_IDS}'
        if name in found:
            pixels = images.pixels(files.read(found[name]), ('L', 'P'), found[name])
            numbers[found[name]] = frozenset(masks.present(pixels))
            if truth is not None and len(numbers) <= _COMPARED:
                _compare(pixels, truth.official(truth.by_name[name]), found[name])
            chosen[name] = found[name]
            if image_files.header(found[name]).mode == 'P':
                png.save(str(place), pixels)
                chosen[name] = str(place)
        elif truth is not None:
            official = truth.official(truth.by_name[name])
            png.save(str(place), np.where(official < 0, _CITYSCAPES.official_void, official).astype(np.uint8))
            chosen[name] = str(place)
    label_numbers.check(numbers)
    return [chosen[name] for name in wanted]


def _compare(label_ids: np.ndarray, official: np.ndarray, path: str) -> None:
    """Refuses a map of train ids where the panoptic ground truth of the image has label ids."""
    is_class = official >= 0
    if label_ids.shape == official.shape and is_class.any():
        train_ids = np.full(official.max() + 1, -1)
        for category in _CITYSCAPES.categories:
            if category.official_id < len(train_ids):
                train_ids[category.official_id] = category.id
        if (label_ids[is_class] == train_ids[official[is_class]]).all():
            raise label_numbers.are_wrong(path, masks.present(label_ids))


def coco(
    root: pathlib.Path, split: str, scratch: pathlib.Path, spec: datasets.DatasetSpec | None = None
) -> tuple[Panoptic, datasets.DatasetSpec]:
    """Finds the panoptic ground truth in the COCO form, or makes it in `scratch` from a layout without it.

    Args:
      root: of the raw data set.
      split: for example 'val'.
      scratch: folder for files on the way.
      spec: supplies names and kinds of categories that the file lacks; None if no data set is named.

    Returns:
      The ground truth, and a data set of its layout.

    Raises:
      errors.InputError: there is none, it is damaged, or it lacks facts on categories.
    """
    for one in [spec] if spec else _OF_COCO_FORM:
        source = sources.module(one)
        for form in source.PANOPTIC_FILES:
            path = root / form.format(split)
            if path.is_file():
                document = documents.read(str(path), has_areas=source.HAS_AREAS)
                return panoptic_files.open_files(
                    document, str(path.with_suffix('')), spec, has_areas=source.HAS_AREAS
                ), one
    if spec and not sources.module(spec).PANOPTIC_FILES:
        return made_truths.make(root, split, spec, scratch / 'made'), spec
    form = sources.module(spec or _OF_COCO_FORM[0]).PANOPTIC_FILES[0]
    cure = '' if spec else ', or name the data set: --dataset'
    raise errors.InputError(f'{root / form.format(split)} is missing; check --ground_truth and --split{cure}')


def on_disk(root: pathlib.Path, split: str, spec: datasets.DatasetSpec) -> set[documents.ImageId]:
    """Returns ids and names of the images of a split that were downloaded; none where no image was."""
    try:
        found = sources.module(spec).list_images(root, split, spec, with_labels=False)
    except errors.InputError:
        return set()
    return {entry.image_id for entry in found} | {
        entry.official_id for entry in found if entry.official_id is not None
    }


def _with_label_ids(document: documents.Document) -> documents.Document:
    """Puts label ids in place of train ids; the PNGs hold segment ids, which stay."""
    official = {category.id: category.official_id for category in _CITYSCAPES.categories}
    changed = []
    for annotation in document.annotations:
        strange = [s.category_id for s in annotation.segments if s.category_id not in official]
        if strange:
            raise errors.InputError(f'{document.path}: {strange[0]} is not a train id of Cityscapes')
        segments = tuple(
            dataclasses.replace(segment, category_id=official[segment.category_id])
            for segment in annotation.segments
        )
        changed.append(dataclasses.replace(annotation, segments=segments))
    return dataclasses.replace(document, annotations=tuple(changed), categories={})
