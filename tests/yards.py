# SPDX-License-Identifier: Apache-2.0
"""A small custom data set in the COCO layout, as people make them, to be spoilt by tests.

A yard has soil and a fence (stuff), carts and crates (things); ids of images, names of files and numbers of
segments have nothing to do with each other.
"""

import json
import pathlib

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

HEIGHT, WIDTH = 48, 64
CATEGORIES = [
    {'id': 3, 'name': 'soil', 'isthing': 0, 'color': [120, 80, 40]},
    {'id': 5, 'name': 'fence', 'isthing': 0, 'color': [90, 90, 90]},
    {'id': 9, 'name': 'cart', 'isthing': 1, 'color': [0, 0, 200]},
    {'id': 12, 'name': 'crate', 'isthing': 1, 'color': [200, 160, 0]},
]
_SOIL, _FENCE, _CART, _CRATE = 101, 7001, 65537, 131074


class Yard:
    """Names the files of a data set of one split, and edits them."""

    def __init__(self, root: pathlib.Path, names=('im1.jpg', 'im2.jpg'), split='val'):
        """Writes images of these names, with annotations and a description of the classes."""
        self.root, self.split, self.names = root, split, names
        self.dataset = root / 'yard.json'
        self.panoptic = root / 'annotations' / f'panoptic_{split}.json'
        self.instances = root / 'annotations' / f'instances_{split}.json'
        images, annotations = [], []
        for number, name in enumerate(names, 1):
            ids = _ids(number)
            save(root / split / name, np.full((*ids.shape, 3), 40 * number, np.uint8))
            png = f'{name.rpartition(".")[0]}.png'
            save(self.png(png), colors(ids))
            images.append({'id': number, 'file_name': name, 'height': HEIGHT, 'width': WIDTH})
            annotations.append({'image_id': number, 'file_name': png, 'segments_info': _segments(ids)})
        content = {'images': images, 'annotations': annotations, 'categories': CATEGORIES}
        self.panoptic.write_text(json.dumps(content))
        described = [
            {
                'id': i,
                'name': c['name'],
                'color': c['color'],
                'is_thing': bool(c['isthing']),
                'official_id': c['id'],
            }
            for i, c in enumerate(CATEGORIES)
        ]
        facts = {'layout': 'coco', 'num_classes': 4, 'label_divisor': 1000, 'ignore_label': 255}
        self.dataset.write_text(json.dumps({**facts, 'categories': described}))

    def image(self, number=0):
        """Returns the path of an image file."""
        return self.root / self.split / self.names[number]

    def png(self, name):
        """Returns the path of an annotation's PNG."""
        return self.root / 'annotations' / f'panoptic_{self.split}' / name

    def edit(self, change, path=None):
        """Changes the content of a JSON file, that of the panoptic annotations unless told."""
        path = path or self.panoptic
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    def add_classes(self):
        """Writes the maps of category ids, without instances, from the panoptic ones."""
        for entry in json.loads(self.panoptic.read_text())['annotations']:
            ids = ids_of(self.png(entry['file_name']))
            classes = np.zeros(ids.shape, np.uint8)
            for segment in entry['segments_info']:
                classes[ids == segment['id']] = segment['category_id']
            save(self.root / 'annotations' / f'semantic_{self.split}' / entry['file_name'], classes)
        return self

    def add_instances(self):
        """Writes the instance file: masks run-length coded, one as a polygon."""
        content = json.loads(self.panoptic.read_text())
        annotations = []
        for entry in content['annotations']:
            ids = ids_of(self.png(entry['file_name']))
            for segment in entry['segments_info']:
                if segment['category_id'] in (9, 12):
                    rle = coded(ids == segment['id'])
                    annotations.append(
                        {
                            'id': len(annotations) + 1,
                            'image_id': entry['image_id'],
                            'category_id': segment['category_id'],
                            'segmentation': rle,
                            'area': segment['area'],
                            'iscrowd': 0,
                        }
                    )
        things = [category for category in content['categories'] if category.get('isthing', 1)]
        told = {'images': content['images'], 'annotations': annotations, 'categories': things}
        self.instances.write_text(json.dumps(told))
        return self


def ids_of(path):
    """Reads segment ids from a PNG."""
    pixels = np.asarray(Image.open(path).convert('RGB')).astype(np.int64)
    return pixels @ (1, 256, 65536)


def colors(ids):
    """Writes segment ids as colours."""
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)


def save(path, pixels):
    """Saves an image, in the format of its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _ids(number):
    ids = np.zeros((HEIGHT, WIDTH), np.int64)
    ids[4:24], ids[24:] = _FENCE + number, _SOIL + number
    left = 8 * number
    ids[20:30, left : left + 10] = _CART + number
    ids[30:40, left + 20 : left + 30] = _CRATE + number
    return ids


def _segments(ids):
    kinds = {101: 3, 7001: 5, 65537: 9, 131074: 12}
    found = []
    for number in np.unique(ids[ids > 0]).tolist():
        kind = max(base for base in kinds if base <= number)
        area = int((ids == number).sum())
        found.append({'id': number, 'category_id': kinds[kind], 'area': area, 'iscrowd': 0})
    return found


def coded(mask):
    """Codes a mask as JSON files hold it."""
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {'size': list(rle['size']), 'counts': rle['counts'].decode()}


def box(rle):
    """Returns left, top, width and height of a mask."""
    return coco_mask.toBbox({**rle, 'counts': rle['counts'].encode()}).tolist()


def run_list(rle):
    """Writes the run lengths of a mask as a list, without coding them."""
    flat = coco_mask.decode({**rle, 'counts': rle['counts'].encode()}).ravel(order='F')
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat, [2]])))
    return {'size': rle['size'], 'counts': np.diff(np.concatenate([[0], changes])).tolist()}


def ids_of_box(top, left):
    """Makes a mask of a box whose corner is there."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top : top + 9, left : left + 11] = True
    return mask


def pixels(path):
    """Reads an image as it is stored, to be changed."""
    return np.array(Image.open(path))
