# SPDX-License-Identifier: Apache-2.0
"""Writes toy scenes as the official downloads of Cityscapes and COCO are laid out."""

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from panpipe.model import datasets
from panpipe.pipelines.toy_street import scenes

Writer = Callable[[pathlib.Path, str, Iterable[scenes.Scene], datasets.DatasetSpec], None]

_CITIES = {'train': 'toytown', 'val': 'toyville'}
_UNKNOWN_TRAIN_ID = 255
# What COCO calls the surfaces and things that a scene holds.
_COCO_NAMES = {
    scenes.ROAD: 'road',
    scenes.SIDEWALK: 'pavement-merged',
    scenes.BUILDING: 'building-other-merged',
    scenes.VEGETATION: 'tree-merged',
    scenes.SKY: 'sky-other-merged',
    scenes.PERSON: 'person',
    scenes.CAR: 'car',
    scenes.BUS: 'bus',
}


def write_cityscapes(
    root: pathlib.Path, split: str, drawn: Iterable[scenes.Scene], spec: datasets.DatasetSpec
) -> None:
    """Writes a split: images, `gtFine` id maps, and both forms of csCreatePanopticImgs's output."""
    city = _CITIES[split]
    pictures = _folder(root / 'leftImg8bit' / split / city)
    maps = _folder(root / 'gtFine' / split / city)
    forms = [_folder(root / 'gtFine' / f'cityscapes_panoptic_{split}{form}') for form in ('', '_trainId')]
    images: list[dict[str, Any]] = []
    segments: list[list[dict[str, Any]]] = []
    for number, scene in enumerate(drawn):
        image_id = f'{city}_{number:06d}_000019'
        Image.fromarray(scene.image).save(pictures / f'{image_id}_leftImg8bit.png')
        _save_id_maps(maps / f'{image_id}_gtFine_', scene.ids, spec)
        found = _segments(scene.ids, {c.official_id: c for c in spec.categories})
        panoptic = _colored(np.where(np.isin(scene.ids, [s['id'] for s in found]), scene.ids, 0))
        for form in forms:
            panoptic.save(form / f'{image_id}_gtFine_panoptic.png')
        images.append(_image(image_id, f'{image_id}_gtFine_leftImg8bit.png', scene))
        segments.append(found)
    names = [image['id'] + '_gtFine_panoptic.png' for image in images]
    for form, ids in zip(forms, ({}, {c.official_id: c.id for c in spec.categories}), strict=True):
        _save_json(form.with_name(f'{form.name}.json'), images, names, segments, spec, ids)


def write_coco(
    root: pathlib.Path, split: str, drawn: Iterable[scenes.Scene], spec: datasets.DatasetSpec
) -> None:
    """Writes a split: JPEG images, panoptic PNGs with colours of no meaning, and the panoptic JSON."""
    pictures = _folder(root / f'{split}2017')
    maps = _folder(root / 'annotations' / f'panoptic_{split}2017')
    by_name = {c.name: c for c in spec.categories}
    category_of = {label: by_name[name] for label, name in _COCO_NAMES.items()}
    images: list[dict[str, Any]] = []
    segments: list[list[dict[str, Any]]] = []
    for number, scene in enumerate(drawn, 1 if split == 'train' else 500001):
        Image.fromarray(scene.image).save(pictures / f'{number:012d}.jpg', quality=95)
        found = _segments(scene.ids, category_of)
        colors = np.random.default_rng(number).choice(256**3 - 1, len(found), replace=False) + 1
        ids = np.zeros_like(scene.ids)
        for segment, color in zip(found, colors.tolist(), strict=True):
            ids[scene.ids == segment['id']] = color
            segment['id'] = color
        _colored(ids).save(maps / f'{number:012d}.png')
        images.append(_image(number, f'{number:012d}.jpg', scene))
        segments.append(found)
    names = [f'{image["id"]:012d}.png' for image in images]
    _save_json(maps.with_name(f'{maps.name}.json'), images, names, segments, spec, {})


WRITERS: Mapping[str, Writer] = {'cityscapes_panoptic': write_cityscapes, 'coco_panoptic': write_coco}


def _folder(path: pathlib.Path) -> pathlib.Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _image(image_id: str | int, file_name: str, scene: scenes.Scene) -> dict[str, Any]:
    height, width = scene.ids.shape
    return {'id': image_id, 'file_name': file_name, 'height': height, 'width': width}


def _save_id_maps(prefix: pathlib.Path, ids: np.ndarray, spec: datasets.DatasetSpec) -> None:
    label_ids = np.where(ids < 1000, ids, ids // 1000).astype(np.uint8)
    train_ids = np.full(256, _UNKNOWN_TRAIN_ID, np.uint8)
    for category in spec.categories:
        train_ids[category.official_id] = category.id
    maps = {
        'instanceIds': ids.astype(np.uint16),
        'labelIds': label_ids,
        'labelTrainIds': train_ids[label_ids],
    }
    for name, pixels in maps.items():
        Image.fromarray(pixels).save(f'{prefix}{name}.png')


def _segments(ids: np.ndarray, category_of: Mapping[int, datasets.Category]) -> list[dict[str, Any]]:
    """Lists the segments of a map in increasing order of their ids, as csCreatePanopticImgs does."""
    segments = []
    for number in np.unique(ids).tolist():
        category = category_of.get(number if number < 1000 else number // 1000)
        if category is None:
            continue
        rows, columns = np.nonzero(ids == number)
        left, top = int(columns.min()), int(rows.min())
        box = [left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1]
        segments.append(
            {
                'id': number,
                'category_id': category.official_id,
                'area': len(rows),
                'bbox': box,
                'iscrowd': int(category.is_thing and number < 1000),
            }
        )
    return segments


def _colored(ids: np.ndarray) -> Image.Image:
    return Image.fromarray(np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8))


def _save_json(
    path: pathlib.Path,
    images: list[dict[str, Any]],
    names: list[str],
    segments: list[list[dict[str, Any]]],
    spec: datasets.DatasetSpec,
    renamed: Mapping[int, int],
) -> None:
    """Saves a panoptic JSON; `renamed` maps official class ids to those that this file uses."""
    annotations = [
        {
            'image_id': image['id'],
            'file_name': name,
            'segments_info': [
                {**s, 'category_id': renamed.get(s['category_id'], s['category_id'])} for s in found
            ],
        }
        for image, name, found in zip(images, names, segments, strict=True)
    ]
    categories = [
        {
            'id': renamed.get(c.official_id, c.official_id),
            'name': c.name,
            'color': list(c.color),
            'supercategory': c.name,
            'isthing': int(c.is_thing),
        }
        for c in spec.categories
    ]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    path.write_text(json.dumps(content))
