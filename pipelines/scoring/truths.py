# SPDX-License-Identifier: Apache-2.0
"""Ground truth and predictions as the official evaluators want them, from raw data sets as downloaded."""

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from panpipe.model import datasets, errors
from panpipe.pipelines.formats import png, segments
from panpipe.pipelines.scoring import official_python

_LABEL_IDS = '_gtFine_labelIds.png'
_CITYSCAPES = datasets.SPECS['cityscapes_panoptic']
_COCO_FORMS = ('annotations/panoptic_{}2017.json', 'annotations/panoptic_{}.json', 'ade20k_panoptic_{}.json')


@dataclasses.dataclass(frozen=True)
class Panoptic:
    """Names a JSON file of the COCO panoptic form with its content, and the folder of its PNGs."""

    path: pathlib.Path
    folder: pathlib.Path
    content: Mapping[str, Any]

    @property
    def annotations(self) -> Sequence[Mapping[str, Any]]:
        """The entries, one an image."""
        found: Sequence[Mapping[str, Any]] = self.content['annotations']
        return found

    def classes(self, entry: Mapping[str, Any], class_of: Mapping[int, int], void: int) -> np.ndarray:
        """Reads one image: int32 [height, width], `class_of` its categories, `void` in no segment."""
        colors = png.load(str(self.folder / entry['file_name']), 'RGB')
        try:
            return segments.classes(colors, entry['segments_info'], class_of, void)
        except KeyError as error:
            raise self.strange(entry, error) from error

    def strange(self, entry: Mapping[str, Any], category: object) -> errors.InputError:
        """Makes the error of an image with a category that the data set lacks."""
        return errors.InputError(
            f'{self.path}: image {entry["image_id"]} has the category {category}, which the data set lacks; '
            'is it of another --format?'
        )


def read(path: pathlib.Path, folder: pathlib.Path) -> Panoptic:
    """Reads a JSON file of the COCO panoptic form.

    Raises:
      errors.InputError: it is missing or of another form.
    """
    try:
        content = json.loads(path.read_text())
        for entry in content['annotations']:
            _ = entry['image_id'], entry['file_name'], entry['segments_info']
        return Panoptic(path, folder, content)
    except OSError as error:
        raise errors.InputError(f'cannot read {path}: {error.strerror}') from error
    except (ValueError, KeyError, TypeError) as error:
        raise errors.InputError(
            f'{path} is not a panoptic JSON file of the COCO form ({type(error).__name__}: {error})'
        ) from error


def cityscapes(root: pathlib.Path, split: str, scratch: pathlib.Path, python: str) -> Panoptic:
    """Finds the panoptic ground truth with label ids, or makes it in `scratch` from what there is.

    Raises:
      errors.InputError: there is none.
    """
    folder, name = root / 'gtFine', f'cityscapes_panoptic_{split}'
    if (folder / f'{name}.json').is_file():
        return read(folder / f'{name}.json', folder / name)
    if any(folder.glob(f'{split}/*/*_gtFine_instanceIds.png')):
        official_python.call(python, 'cityscapes_panoptic_images.py', str(folder), str(scratch), split)
        return read(scratch / f'{name}.json', scratch / name)
    if (folder / f'{name}_trainId.json').is_file():
        return _with_label_ids(read(folder / f'{name}_trainId.json', folder / f'{name}_trainId'), scratch)
    raise errors.InputError(
        f'{folder} has no ground truth of the split {split!r}: neither {name}.json, nor '
        f'{split}/CITY/*_gtFine_instanceIds.png, nor {name}_trainId.json; check --ground_truth and --split'
    )


def cityscapes_classes(root: pathlib.Path, split: str) -> Panoptic | None:
    """Lists the images that have a label-id PNG, as annotations without segments; None where none has one."""
    found = _label_ids(root, split)
    entries = [
        {'image_id': name, 'file_name': path.name, 'segments_info': []} for name, path in found.items()
    ]
    return Panoptic(root / 'gtFine', root / 'gtFine', {'annotations': entries}) if entries else None


def _label_ids(root: pathlib.Path, split: str) -> dict[str, pathlib.Path]:
    paths = sorted(root.glob(f'gtFine/{split}/*/*{_LABEL_IDS}'))
    return {path.name.removesuffix(_LABEL_IDS): path for path in paths}


def label_id_files(truth: Panoptic, root: pathlib.Path, split: str, scratch: pathlib.Path) -> Iterator[str]:
    """Names the label-id PNG of each annotation, and makes those in `scratch` that were not downloaded."""
    found = _label_ids(root, split)
    class_of = {number: number for number in _CITYSCAPES.from_official}
    for entry in truth.annotations:
        path = found.get(entry['image_id'])
        if path is None:
            path = scratch / f'{entry["image_id"]}{_LABEL_IDS}'
            png.save(str(path), truth.classes(entry, class_of, _CITYSCAPES.official_void).astype(np.uint8))
        yield str(path)


def coco(root: pathlib.Path, split: str) -> Panoptic:
    """Finds the panoptic ground truth in the layout of COCO or ADE20K.

    Raises:
      errors.InputError: there is none, or it lists no categories.
    """
    candidates = [root / form.format(split) for form in _COCO_FORMS]
    for path in candidates:
        if path.is_file():
            found = read(path, path.with_suffix(''))
            if not found.content.get('categories'):
                raise errors.InputError(f'{path} lists no categories; fetch the original file again')
            return found
    raise errors.InputError(f'{candidates[0]} is missing; check --ground_truth and --split')


def renumbered(
    truth: Panoptic, predicted: Sequence[Mapping[str, Any]], scratch: pathlib.Path
) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes both JSON files with the images numbered, because hotcoco takes integers only."""
    paths = scratch / 'ground_truth.json', scratch / 'predictions.json'
    for path, content, annotations in (
        (paths[0], truth.content, truth.annotations),
        (paths[1], {}, predicted),
    ):
        numbered = [{**entry, 'image_id': number} for number, entry in enumerate(annotations, 1)]
        images = [{'id': number} for number in range(1, len(numbered) + 1)]
        path.write_text(json.dumps({**content, 'annotations': numbered, 'images': images}))
    return paths


def refuse_size(path: pathlib.Path | str, predicted: np.ndarray, true: np.ndarray) -> None:
    """Refuses a predicted map [height, width] of another size than the ground truth.

    Raises:
      errors.InputError: it is.
    """
    if predicted.shape != true.shape:
        raise errors.InputError(
            f'{path} is {predicted.shape} (height, width), the ground truth {true.shape}; predict at the '
            'size of the image'
        )


def _with_label_ids(truth: Panoptic, scratch: pathlib.Path) -> Panoptic:
    """Writes a JSON file with label ids in place of train ids; the PNGs hold segment ids, which stay."""
    official = {category.id: category.official_id for category in _CITYSCAPES.categories}
    try:
        annotations = [
            {
                **entry,
                'segments_info': [
                    {**segment, 'category_id': official[segment['category_id']]}
                    for segment in entry['segments_info']
                ],
            }
            for entry in truth.annotations
        ]
    except KeyError as error:
        raise errors.InputError(f'{truth.path}: {error} is not a train id of Cityscapes') from error
    path = scratch / 'cityscapes_panoptic.json'
    path.write_text(json.dumps(segments.document(annotations, _CITYSCAPES)))
    return read(path, truth.folder)
