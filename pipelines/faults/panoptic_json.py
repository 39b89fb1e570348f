# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with `panoptic.json` of a prediction folder: checks that each list faults."""

import collections
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from panpipe.model import datasets
from panpipe.pipelines.faults import fault
from panpipe.pipelines.formats import layout

_DOCUMENT = layout.DOCUMENT
_COLORS = 256**3
_PREDICT = 'run `panpipe predict` on all images of the split'
_REWRITE = 'write both files again from one panoptic map'


def document(content: Any) -> list[fault.Fault]:
    """Checks the outermost form of the JSON file."""
    if not isinstance(content, dict) or not isinstance(content.get('annotations'), list):
        what = 'is not an object with a list of annotations'
        return [fault.Fault(_DOCUMENT, what, 'see https://cocodataset.org/#format-results')]
    if not content['annotations']:
        return [fault.Fault(_DOCUMENT, 'has no predictions', _PREDICT)]
    return []


def annotation(index: int, entry: Any) -> list[fault.Fault]:
    """Checks the form of one image's entry: without a fault, the other checks can read it."""
    where = f'{_DOCUMENT}, annotations[{index}]'
    cure = 'write image_id, file_name and segments_info for each image'
    if not isinstance(entry, dict):
        return [fault.Fault(where, 'is not an object', cure)]
    if not isinstance(entry.get('image_id'), str | int) or isinstance(entry['image_id'], bool):
        return [fault.Fault(where, 'has no image_id', cure)]
    if not isinstance(entry.get('file_name'), str):
        return [fault.Fault(where, 'has no file_name', cure)]
    if not isinstance(entry.get('segments_info'), list):
        return [fault.Fault(where, 'has no list of segments_info', cure)]
    for number, segment in enumerate(entry['segments_info']):
        for key in (
            'id',
            'category_id',
            *(['area'] if isinstance(segment, dict) and 'area' in segment else []),
        ):
            value = segment.get(key) if isinstance(segment, dict) else None
            if not isinstance(value, int) or isinstance(value, bool):
                place = f'{where}, segments_info[{number}]'
                return [fault.Fault(place, f'has no {key} that is an integer', 'write id and category_id')]
    return []


def images(names: Sequence[str], expected: Iterable[str] | None) -> list[fault.Fault]:
    """Checks that each image is predicted exactly once.

    Args:
      names: of the images of all entries.
      expected: of the images of the split, or None where they are not known.
    """
    counts = collections.Counter(names)
    found = [
        fault.Fault(_DOCUMENT, f'predicts the image {name} {count} times', 'keep one of its annotations')
        for name, count in counts.items()
        if count > 1
    ]
    if expected is None:
        return found
    wanted = dict.fromkeys(expected)
    found += [
        fault.Fault(_DOCUMENT, f'has no prediction of the image {name}', _PREDICT)
        for name in wanted
        if name not in counts
    ]
    return found + [
        fault.Fault(
            _DOCUMENT,
            f'predicts {name}, which is no image of the split',
            'take it out, or check --split',
        )
        for name in counts
        if name not in wanted
    ]


def file_names(named: Mapping[str, Mapping[str, Any]]) -> list[fault.Fault]:
    """Checks that images do not share a PNG."""
    counts = collections.Counter(entry['file_name'] for entry in named.values())
    return [
        fault.Fault(_DOCUMENT, f'names the file {name} for {count} images', 'write a PNG for each image')
        for name, count in counts.items()
        if count > 1
    ]


def image_ids(entries: Sequence[Mapping[str, Any]]) -> list[fault.Fault]:
    """Checks that images do not share an id: evaluators join them by it."""
    counts = collections.Counter(entry['image_id'] for entry in entries)
    return [
        fault.Fault(_DOCUMENT, f'has the image_id {number!r} {count} times', 'give each image its own')
        for number, count in counts.items()
        if count > 1
    ]


def image_id(
    entry: Mapping[str, Any], name: str, official: str | int | None, reader: types.ModuleType
) -> list[fault.Fault]:
    """Checks that an entry's id is the evaluator's, as far as it is known.

    Args:
      entry: of the image.
      name: of the image.
      official: its id in the annotation file, or None where there is none; then any number may be right.
      reader: module of the format.
    """
    given, right = entry['image_id'], reader.image_id(name) if official is None else official
    if given == right and type(given) is type(right):
        return []
    if official is None and type(given) is int and reader.ALLOWS_NUMBERS:
        return []
    what = f'has the image_id {given!r}'
    return [fault.Fault(f'{_DOCUMENT}, image {name}', what, f'the evaluator calls this image {right!r}')]


def segments(entry: Mapping[str, Any], name: str) -> list[fault.Fault]:
    """Checks the ids of an image's segments, and that none is a crowd."""
    found, seen = [], set[int]()
    for segment in entry['segments_info']:
        number = segment['id']
        where = f'{_DOCUMENT}, image {name}, segment {number}'
        if number in seen:
            found.append(
                fault.Fault(where, 'is listed twice', 'give every segment of an image an id of its own')
            )
        seen.add(number)
        if not 0 < number < _COLORS:
            found.append(
                fault.Fault(where, f'has an id outside 1 .. {_COLORS - 1}', 'number from 1; 0 is void')
            )
        if segment.get('iscrowd'):
            found.append(fault.Fault(where, 'is a crowd', 'write iscrowd 0: only ground truth has crowds'))
    return found


def stuff(entry: Mapping[str, Any], name: str, spec: datasets.DatasetSpec) -> list[fault.Fault]:
    """Checks that an image has one segment at most of each stuff class."""
    classes = {
        segment['id']: spec.from_official[segment['category_id']] for segment in entry['segments_info']
    }
    counts = collections.Counter(category.name for category in classes.values() if not category.is_thing)
    cure = 'join them: the evaluator counts all but one as wrong'
    return [
        fault.Fault(f'{_DOCUMENT}, image {name}', f'has {count} segments of the stuff class {category}', cure)
        for category, count in counts.items()
        if count > 1
    ]


def categories(named: Mapping[str, Mapping[str, Any]], spec: datasets.DatasetSpec) -> list[fault.Fault]:
    """Checks that the evaluator knows the categories; the whole file shows whether they are train ids."""
    by_image = {
        name: {segment['category_id'] for segment in entry['segments_info']} for name, entry in named.items()
    }
    used = set[int]().union(*by_image.values())
    if used <= set(spec.from_official):
        return []
    known = f'the {len(spec.categories)} official ids go from {min(spec.from_official)} to '
    known += str(max(spec.from_official))
    if used <= set(spec.by_id):
        wrong = min(used - set(spec.from_official))
        what = f'has the category {wrong}, and none above {max(used)}: these look like train ids'
        return [fault.Fault(_DOCUMENT, what, f'write official category ids ({known})')]
    return [
        fault.Fault(
            f'{_DOCUMENT}, image {name}', f'has the category {number}, which {spec.name} lacks', known
        )
        for name, numbers in by_image.items()
        for number in sorted(numbers - set(spec.from_official))
    ]


def content(entries: Sequence[Mapping[str, Any]]) -> list[fault.Fault]:
    """Checks that there is any segment. A single image may well be void altogether."""
    if not entries or any(entry['segments_info'] for entry in entries):
        return []
    return [fault.Fault(_DOCUMENT, 'has no segment in any image', 'check the model that predicted it')]


def areas(pixels: Mapping[int, int], entry: Mapping[str, Any], where: str) -> list[fault.Fault]:
    """Checks that the PNG and the JSON entry of an image agree.

    Args:
      pixels: number of pixels by the id that the PNG holds.
      entry: the image's in the JSON file.
      where: path of the PNG.
    """
    listed = {segment['id']: segment.get('area') for segment in entry['segments_info']}
    found = [
        fault.Fault(
            where, f'has {count} pixels of segment {number}, which {_DOCUMENT} does not list', _REWRITE
        )
        for number, count in pixels.items()
        if number and number not in listed
    ]
    for number, area in listed.items():
        if number not in pixels:
            found.append(
                fault.Fault(where, f'has no pixel of segment {number}, which {_DOCUMENT} lists', _REWRITE)
            )
        elif area is not None and pixels[number] != area:
            what = f'has {pixels[number]} pixels of segment {number}, {_DOCUMENT} says {area}'
            found.append(fault.Fault(where, what, _REWRITE))
    return found
