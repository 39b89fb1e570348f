# SPDX-License-Identifier: Apache-2.0
"""Writes panoptic maps as small data sets in published layouts, without any code of the readers."""

import json

import numpy as np

import synthetic
import yards


def photo(panoptic):
    """Draws an image of a map: uint8 [height, width, 3]."""
    hues = np.random.default_rng(0).integers(0, 256, (251, 3), np.uint8)
    return hues[panoptic % 251]


def maps(spec, names, **options):
    """Draws a map for each name."""
    rng = np.random.default_rng(7)
    return {name: synthetic.panoptic_map(rng, spec.labels, **options) for name in names}


def write_step(root, split, named, spec, frames=''):
    """Writes STEP: maps by SEQUENCE/FRAME; `frames` is a folder within each sequence of images."""
    for name, panoptic in named.items():
        sequence, frame = name.split('/')
        yards.save(root / 'images' / split / sequence / frames / f'{frame}.png', photo(panoptic))
        classes, instances = spec.labels.decode(panoptic)
        colors = np.stack([classes, instances // 256, instances % 256], -1).astype(np.uint8)
        yards.save(root / 'panoptic_maps' / split / sequence / f'{frame}.png', colors)
    return root


def write_polygons(root, split, name, objects, size):
    """Writes an image of Cityscapes with its file of polygons.

    Args:
      root: of the data set.
      split: for example 'val'.
      name: CITY_SEQUENCE_FRAME.
      objects: entries of the file.
      size: (height, width).
    """
    city = name.partition('_')[0]
    pixels = np.zeros((*size, 3), np.uint8)
    yards.save(root / 'leftImg8bit' / split / city / f'{name}_leftImg8bit.png', pixels)
    path = root / 'gtFine' / split / city / f'{name}_gtFine_polygons.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({'imgHeight': size[0], 'imgWidth': size[1], 'objects': objects}))
    return path


VISTAS_FOLDERS = {'train': 'training', 'val': 'validation', 'test': 'testing'}
# Labels as a configuration of Mapillary Vistas lists them: name, instances, evaluate.
VISTAS_LABELS = (
    *(('animal--bird', True, True), ('construction--barrier--curb', False, True)),
    *(
        ('void--ground', False, False),
        ('object--vehicle--car', True, True),
        ('void--unlabeled', False, False),
    ),
    *(('nature--sky', False, True), ('void--bicycle--group', True, False)),
)


def write_vistas_config(root, version='2.0'):
    """Writes the configuration of Mapillary Vistas with a few labels; returns its path."""
    labels = [
        {'name': name, 'readable': name, 'color': [9 * n, 5, 7], 'instances': instances, 'evaluate': evaluate}
        for n, (name, instances, evaluate) in enumerate(VISTAS_LABELS)
    ]
    path = root / f'config_v{version}.json'
    root.mkdir(parents=True, exist_ok=True)
    told = {'labels': labels, 'version': float(version), 'mapping': 'public'}
    path.write_text(json.dumps({**told, 'folder_structure': '{split}/{content}/{image_id:.22}.{extension}'}))
    return path


def write_vistas(root, split, named, spec, version='2.0', place=None):
    """Writes Mapillary Vistas: maps by image, both as panoptic PNGs with their file and as 16-bit instances.

    Void is written as labels that are not evaluated; crowd, which PNGs of instances cannot tell, is in the
    panoptic file alone.
    """
    folder = root / VISTAS_FOLDERS[split]
    inner = folder / (f'v{version}' if place is None else place)
    unlabelled = [number for number, (_, _, evaluate) in enumerate(VISTAS_LABELS) if not evaluate]
    annotations = []
    for name, panoptic in named.items():
        yards.save(folder / 'images' / f'{name}.jpg', photo(panoptic))
        ids, instances, segments = np.zeros_like(panoptic), np.zeros_like(panoptic), []
        for number, value in enumerate(np.unique(panoptic).tolist(), 1):
            mask, (class_id, instance) = panoptic == value, spec.labels.decode(value)
            is_void = class_id == spec.labels.ignore_label
            label = unlabelled[number % len(unlabelled)] if is_void else spec.by_id[class_id].official_id - 1
            instances[mask] = 256 * label + max(instance - 1, 0)
            is_crowd = class_id in spec.labels.thing_ids and instance == 0
            if not is_void or number % 2:
                ids[mask] = 70000 + 251 * number
                told = {'id': 70000 + 251 * number, 'category_id': label + 1, 'area': int(mask.sum())}
                segments.append({**told, 'iscrowd': int(is_crowd), 'bbox': [0, 0, 1, 1]})
        yards.save(inner / 'panoptic' / f'{name}.png', yards.colors(ids))
        yards.save(inner / 'instances' / f'{name}.png', instances.astype(np.uint16))
        annotations.append({'image_id': name, 'file_name': f'{name}.png', 'segments_info': segments})
    content = {
        'images': [{'id': name, 'file_name': f'{name}.jpg', 'height': 17, 'width': 23} for name in named],
        'annotations': annotations,
        'categories': [{'id': n, 'name': label[0]} for n, label in enumerate(VISTAS_LABELS, 1)],
    }
    file_name = 'panoptic_2020.json' if version == '2.0' else 'panoptic_2018.json'
    (inner / 'panoptic' / file_name).write_text(json.dumps(content))
    return root
