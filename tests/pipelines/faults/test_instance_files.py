# SPDX-License-Identifier: Apache-2.0
"""Each check of instance files finds its fault, and none in sound ones; what it passes, our reader takes."""

import json

import numpy as np
import pytest
from PIL import Image

from panpipe.model import datasets, errors
from panpipe.model.metrics import masks
from panpipe.pipelines.faults import instance_files
from panpipe.pipelines.sources import detections

COCO = datasets.SPECS['coco_panoptic']
CITYSCAPES = datasets.SPECS['cityscapes_panoptic']
SIZE = (2, 3)
FIRST = np.array([[1, 1, 0], [0, 0, 0]], bool)
SECOND = np.array([[0, 0, 0], [0, 1, 1]], bool)
PERSON, ROAD = 24, 7  # label ids of Cityscapes


def _write(tmp_path, *lines, **more):
    folder = tmp_path / 'instance'
    (folder / 'masks').mkdir(parents=True, exist_ok=True)
    for name, mask in {'a': FIRST, 'b': SECOND, **more}.items():
        Image.fromarray(mask).save(folder / f'masks/{name}.png')
    (folder / 'image.txt').write_text(''.join(f'{line}\n' for line in lines))
    return str(tmp_path)


def _text(tmp_path, *lines, size=SIZE, **more):
    files, found = instance_files.text(_write(tmp_path, *lines, **more), 'image', size, CITYSCAPES)
    assert 'instance/image.txt' in files
    assert all('\n' not in str(fault) for fault in found)
    return [f'{fault.where}: {fault.what}' for fault in found]


A, B = f'masks/a.png {PERSON} 0.5', f'masks/b.png {PERSON} 1'


@pytest.mark.parametrize('size', [SIZE, None])
@pytest.mark.parametrize('lines', [(), (A,), (A, B), (f'masks/../masks/a.png {PERSON} 0',)])
def test_sound_text_files_have_no_fault(lines, size, tmp_path):
    assert _text(tmp_path, *lines, size=size) == []


def test_the_files_of_an_image_are_named(tmp_path):
    files, _ = instance_files.text(_write(tmp_path, A, B), 'image', SIZE, CITYSCAPES)
    assert files == {'instance/image.txt', 'instance/masks/a.png', 'instance/masks/b.png'}


LINE = 'instance/image.txt, line 2'


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        ('', 'has 1 fields'),
        (f'masks/b.png  {PERSON} 1', 'has 4 fields'),
        (f'masks/b.png {PERSON}', 'has 2 fields'),
        (f'/etc/b.png {PERSON} 1', 'names /etc/b.png, outside instance/'),
        (f'../b.png {PERSON} 1', 'names ../b.png, outside instance/'),
        (f'masks/a.png {PERSON} 1', 'names masks/a.png again'),
        ('masks/b.png 9 1', "has the class '9', which cityscapes_panoptic lacks"),
        ('masks/b.png person 1', "has the class 'person', which cityscapes_panoptic lacks"),
        (f'masks/b.png {ROAD} 1', 'has the class road, which is stuff'),
        (f'masks/b.png {PERSON} 1.1', "has the score '1.1'"),
        (f'masks/b.png {PERSON} -0.1', "has the score '-0.1'"),
        (f'masks/b.png {PERSON} nan', "has the score 'nan'"),
        (f'masks/b.png {PERSON} sure', "has the score 'sure'"),
    ],
)
def test_wrong_lines_are_told(line, words, tmp_path):
    assert f'{LINE}: {words}' in _text(tmp_path, A, line)


@pytest.mark.parametrize(
    ('mask', 'words'),
    [
        (np.zeros(SIZE, bool), 'has no pixel'),
        (FIRST | SECOND, 'shares 2 pixels with other masks'),
    ],
)
def test_wrong_masks_are_told(mask, words, tmp_path):
    assert _text(tmp_path, A, B, b=mask) == [f'instance/masks/b.png: {words}']


def test_masks_of_another_size_are_told(tmp_path):
    (told,) = _text(tmp_path, A, B, b=np.ones((3, 2), bool))
    assert told == 'instance/masks/b.png: is (3, 2), its image (2, 3) (height, width)'


def test_missing_and_broken_files_are_told(tmp_path):
    folder = _write(tmp_path, A, B)
    (tmp_path / 'instance/masks/a.png').unlink()
    (tmp_path / 'instance/masks/b.png').write_bytes(b'\x89PNG\r\n\x1a\n')
    missing, broken = instance_files.text(folder, 'image', SIZE, CITYSCAPES)[1]
    assert (missing.where, missing.what) == ('instance/masks/a.png', 'is missing')
    assert broken.what.startswith('cannot be decoded')
    (tmp_path / 'instance/image.txt').unlink()
    files, (gone,) = instance_files.text(folder, 'image', SIZE, CITYSCAPES)
    assert files == {'instance/image.txt'}
    assert gone.what.startswith('cannot be read')


def _coded(mask):
    return {'size': list(mask.shape), 'counts': masks.encode(mask.astype(int), [1])[1]['counts'].decode()}


ENTRY = {'image_id': 9, 'category_id': 1, 'score': 0.5, 'segmentation': _coded(FIRST)}
OTHER = {**ENTRY, 'segmentation': _coded(SECOND)}


def _document(tmp_path, content):
    (tmp_path / 'instances.json').write_text(content if isinstance(content, str) else json.dumps(content))
    found = instance_files.document(str(tmp_path), [9, 'street'], {9: SIZE}, COCO)
    assert all('\n' not in str(fault) for fault in found)
    return [f'{fault.where}: {fault.what}' for fault in found]


@pytest.mark.parametrize('entries', [[], [ENTRY], [ENTRY, OTHER], [ENTRY, {**ENTRY, 'image_id': 'street'}]])
def test_sound_documents_have_no_fault_and_can_be_read(entries, tmp_path):
    assert _document(tmp_path, entries) == []
    assert len(detections.read(str(tmp_path / 'instances.json'), [9, 'street'])) == len(entries)


WRONG = [
    ({'image_id': 8}, 'is of the image 8, which panoptic.json lacks'),
    ({'image_id': '9'}, "is of the image '9', which panoptic.json lacks"),
    ({'image_id': [9]}, 'is of the image [9], which panoptic.json lacks'),
    ({'image_id': 9.0}, 'is of the image 9.0, which panoptic.json lacks'),
    ({'category_id': 12}, 'has the class 12, which coco_panoptic lacks'),
    ({'category_id': None}, 'has the class None, which coco_panoptic lacks'),
    ({'category_id': 1.5}, 'has the class 1.5, which coco_panoptic lacks'),
    ({'category_id': '1'}, "has the class '1', which coco_panoptic lacks"),
    ({'category_id': True}, 'has the class True, which coco_panoptic lacks'),
    ({'score': -1}, 'has the score -1'),
    ({'score': '0.5'}, "has the score '0.5'"),
    ({'score': True}, 'has the score True'),
    ({'score': float('nan')}, 'has the score nan'),
    ({'segmentation': [[0, 0, 2, 0, 2, 1]]}, 'has no run-length encoded mask'),
    ({'segmentation': {'size': [2, 3], 'counts': [1]}}, 'has no run-length encoded mask'),
]


@pytest.mark.parametrize(('changes', 'words'), WRONG)
def test_wrong_detections_are_told_and_not_read(changes, words, tmp_path):
    assert _document(tmp_path, [ENTRY, {**OTHER, **changes}]) == [f'instances.json[1]: {words}']
    if changes != {'category_id': 12}:  # whose reader does not know the classes
        with pytest.raises(errors.InputError):
            detections.read(str(tmp_path / 'instances.json'), [9, 'street'])


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'bbox': [0, 0, 1, 1]}, 'has a bbox'),
        ({'category_id': 187}, 'has the class sky-other-merged, which is stuff'),
        ({'score': 2}, 'has the score 2'),
        ({'segmentation': _coded(FIRST | SECOND)}, 'shares 2 pixels with other masks'),
        ({'segmentation': {'size': [2, 3], 'counts': [6]}}, 'has no pixel'),
    ],
)
def test_what_an_evaluator_would_judge_otherwise_is_told(changes, words, tmp_path):
    assert _document(tmp_path, [ENTRY, {**OTHER, **changes}]) == [f'instances.json[1]: {words}']


@pytest.mark.parametrize('name', sorted(ENTRY))
def test_a_missing_field_is_told(name, tmp_path):
    entry = {key: value for key, value in ENTRY.items() if key != name}
    assert _document(tmp_path, [entry]) == ['instances.json[0]: lacks a field']


@pytest.mark.parametrize(
    ('content', 'words'),
    [('', 'cannot be read'), ('[' * 10**5, 'cannot be read'), ('{}', 'is not a list of detections')],
)
def test_other_documents_are_told(content, words, tmp_path):
    (told,) = _document(tmp_path, content)
    assert told.startswith(f'instances.json: {words}')


def test_sizes_that_are_not_known_are_not_judged(tmp_path):
    entry = {**ENTRY, 'image_id': 'street', 'segmentation': _coded(np.ones((5, 7), bool))}
    assert _document(tmp_path, [entry]) == []
    (told,) = _document(tmp_path, [{**entry, 'image_id': 9}])
    assert told == 'instances.json[0]: is (5, 7), its image (2, 3) (height, width)'
