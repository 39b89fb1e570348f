# SPDX-License-Identifier: Apache-2.0
"""Reads panoptic JSON files of the COCO form, and joins them with the images."""

import collections
import dataclasses
import json
import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from panpipe.model import errors, labels
from panpipe.pipelines import files
from panpipe.pipelines.sources import entries

_COLORS = 256**3
# Of a segment's values: types that JSON may give, and what they are called.
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    'id': ((int,), 'a whole number'),
    'category_id': ((int,), 'a whole number'),
    'area': ((int, float), 'a number of pixels'),
    'iscrowd': ((int, bool), '0 or 1'),
}
_MOST_SHOWN = 120  # characters of a segment
_FORMATS = {'.jpg': 'jpeg', '.jpeg': 'jpeg', '.png': 'png'}


def stem(path: str) -> str:
    """Returns a file's name without folder and ending."""
    return posixpath.splitext(posixpath.basename(path))[0]


def image_files(paths: Sequence[str], image_id: Callable[[str], str] = stem) -> list[entries.ImageFile]:
    """Makes entries without labels of image files, PNG or JPEG by their endings.

    Raises:
      errors.InputError: two files have the same image id.
    """
    found = [
        entries.ImageFile(image_id(path), path, _FORMATS[posixpath.splitext(path)[1].lower()])
        for path in paths
        if posixpath.splitext(path)[1].lower() in _FORMATS
    ]
    for name, count in collections.Counter(entry.image_id for entry in found).items():
        if count > 1:
            twins = ', '.join(entry.path for entry in found if entry.image_id == name)
            raise errors.InputError(f'several images are called {name}: {twins}; keep one')
    return found


def read(
    path: str,
    key: Callable[[Mapping[str, Any]], str],
    numbering: entries.Numbering,
    has_areas: bool = True,
) -> dict[str, tuple[str, tuple[labels.Segment, ...]]]:
    """Reads a panoptic JSON file: image id → (name of its PNG, segments).

    Args:
      path: of the JSON file.
      key: says to which image an annotation belongs.
      numbering: the classes that may occur.
      has_areas: segments state their areas; else those are not looked at.

    Raises:
      errors.InputError: the file is no such JSON, names an image or a segment twice, an unknown class, or a
        crowd of stuff, or has a value of a wrong type.
    """
    try:
        content = json.loads(files.read(path))
        annotations = [
            (key(a), a['file_name'], _segments(a, f'{path}, image {key(a)}', has_areas))
            for a in content['annotations']
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, errors.InputError):
            raise
        raise errors.InputError(
            f'{path} is not a panoptic JSON file of the COCO form ({type(error).__name__}: {error}); '
            'fetch it again'
        ) from error
    found: dict[str, tuple[str, tuple[labels.Segment, ...]]] = {}
    for image_id, name, segments in annotations:
        if image_id in found:
            raise errors.InputError(f'{path} annotates the image {image_id} twice; keep one annotation')
        _check_segments(segments, numbering, f'{path}, image {image_id}')
        found[image_id] = (name, segments)
    return found


def join(
    found: Sequence[entries.ImageFile],
    json_path: str,
    key: Callable[[Mapping[str, Any]], str],
    numbering: entries.Numbering,
    has_areas: bool = True,
) -> list[entries.ImageFile]:
    """Adds to images the annotations of a panoptic JSON file, whose PNGs lie in the folder of the same name.

    Annotations of other images are left alone, so that a part of a data set can be used.

    Raises:
      errors.InputError: an image has no annotation, or an annotation no PNG; and as `read`.
    """
    annotated = read(json_path, key, numbering, has_areas)
    folder = json_path.removesuffix('.json')
    pngs = set(files.find(folder, '*.png'))
    joined = []
    for entry in found:
        if entry.image_id not in annotated:
            raise errors.InputError(
                f'{json_path} has no annotation of the image {entry.path}; add one, or take the image away'
            )
        name, segments = annotated[entry.image_id]
        png = files.join(folder, name)
        if png not in pngs:
            raise errors.InputError(
                f'{png} is missing, but {json_path} names it; unpack all of the annotations'
            )
        label = entries.PanopticPng(png, segments, numbering, has_areas)
        joined.append(entries.ImageFile(entry.image_id, entry.path, entry.format, label))
    return joined


def join_maps(
    found: Sequence[entries.ImageFile],
    paths: Sequence[str],
    suffix: str,
    label: Callable[[str], entries.InstanceIds | entries.SemanticIds],
) -> list[entries.ImageFile]:
    """Adds to images the label maps that are called as they are, but for `suffix`.

    Args:
      found: the images.
      paths: of label maps, at least one; those of other images are left alone.
      suffix: what follows the image id in their names, with the ending.
      label: makes the annotation from a path.

    Raises:
      errors.InputError: an image has no label map.
    """
    by_image = {posixpath.basename(path).removesuffix(suffix): path for path in paths}
    missing = [entry for entry in found if entry.image_id not in by_image]
    if missing:
        raise errors.InputError(
            f'{len(missing)} of {len(found)} images have no {missing[0].image_id}{suffix} '
            f'(beside {paths[0]}); unpack all of the annotations, or take those images away'
        )
    return [dataclasses.replace(entry, label=label(by_image[entry.image_id])) for entry in found]


def _segments(annotation: Mapping[str, Any], where: str, has_areas: bool) -> tuple[labels.Segment, ...]:
    return tuple(_segment(told, where, has_areas) for told in annotation['segments_info'])


def _segment(told: Mapping[str, Any], where: str, has_areas: bool) -> labels.Segment:
    """Reads one entry of segments_info. Raises errors.InputError for a value of a wrong type."""
    values = {'iscrowd': 0, **told}
    if not has_areas:
        values['area'] = 0
    for name, (kinds, noun) in _TYPES.items():
        if name not in values:
            raise errors.InputError(f'{where}: the segment {_short(told)} has no {name}; add it')
        value = values[name]
        if type(value) not in kinds or (name == 'iscrowd' and value not in (0, 1)):
            raise errors.InputError(
                f'{where}: {name} of the segment {_short(told)} must be {noun}; correct the file'
            )
    return labels.Segment(values['id'], values['category_id'], values['area'], bool(values['iscrowd']))


def _short(told: Mapping[str, Any]) -> str:
    text = json.dumps(told)
    return text if len(text) <= _MOST_SHOWN else f'{text[:_MOST_SHOWN]}…'


def _check_segments(segments: Sequence[labels.Segment], numbering: entries.Numbering, where: str) -> None:
    """Raises errors.InputError for what can be seen without the PNG."""
    seen = set()
    for segment in segments:
        problem = None
        class_id = numbering.class_ids.get(segment.category_id)
        if segment.id in seen:
            problem = 'is listed twice'
        elif not 0 < segment.id < _COLORS:
            problem = f'has an id outside 1 .. {_COLORS - 1}'
        elif class_id is None:
            problem = f'is of category {segment.category_id}, which the data set does not have'
        elif segment.is_crowd and class_id != numbering.codec.ignore_label and (
            class_id not in numbering.codec.thing_ids
        ):  # fmt: skip
            problem = f'is a crowd of category {segment.category_id}, which is stuff'
        if problem:
            raise errors.InputError(
                f'{where}: segment {segment.id} {problem}; correct the file or the --dataset'
            )
        seen.add(segment.id)
    numbering.panoptic_ids(segments, where)
