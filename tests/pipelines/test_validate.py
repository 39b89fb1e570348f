# SPDX-License-Identifier: Apache-2.0
"""Folders of predictions, sound and broken in every way known: each fault is caught and told."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import synthetic
from panpipe.model import datasets, image_files
from panpipe.pipelines import validate
from panpipe.pipelines.faults import fault, pngs
from panpipe.pipelines.formats import png, segments
from panpipe.pipelines.sources import images

SPECS = {name: datasets.SPECS[f'{name}_panoptic'] for name in ('cityscapes', 'coco')}


def _write_predictions(folder, raw, spec):
    """Writes the ground truth of the split 'val' as a prediction; crowd becomes a segment."""
    synthetic.write_predictions(folder, synthetic.truths(raw, spec), spec)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Makes a toy data set and sound predictions of each layout: by format (root, folder)."""
    found = {}
    for name, spec in SPECS.items():
        root = tmp_path_factory.mktemp(name)
        raw = synthetic.toy(root, spec.name, images=9)
        _write_predictions(root / 'predictions', raw, spec)
        found[name] = raw, root / 'predictions'
    return found


@pytest.fixture
def folders(made, tmp_path):
    """Copies the predictions, so that a test may spoil them."""
    return {
        name: (raw, pathlib.Path(shutil.copytree(folder, tmp_path / name)))
        for name, (raw, folder) in made.items()
    }


def _run(name, folder, *more):
    return validate.main(['--format', name, '--predictions', str(folder), *map(str, more)])


# Each generator below spoils a folder in one way; the first image is always the spoilt one.


def _edit(folder, change):
    path = folder / 'panoptic.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _on_first(change):
    return lambda folder: _edit(folder, lambda content: change(content['annotations'][0]))


def _on_segment(change):
    return _on_first(lambda entry: change(entry['segments_info'][0]))


def _on_document(text):
    return lambda folder: (folder / 'panoptic.json').write_text(text)


def _on_png(inner, change):
    """Spoils the file of the first image."""
    return lambda folder: change(min((folder / inner).iterdir()))


def _repaint(change):
    return lambda path: Image.fromarray(change(np.array(Image.open(path)))).save(path, 'PNG')


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _save_16_bits(path):
    """Writes by hand what Pillow cannot: an RGB PNG of 16 bits a channel."""
    import struct
    import zlib

    width, height = Image.open(path).size

    def chunk(kind, content):
        return (
            struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))
        )

    header = struct.pack('>IIBBBBB', width, height, 16, 2, 0, 0, 0)
    rows = zlib.compress(bytes(height * (1 + 6 * width)))
    content = chunk(b'IHDR', header) + chunk(b'IDAT', rows) + chunk(b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + content)


def _save_jpeg(path):
    Image.open(path).save(path, 'JPEG')


def _save_palette(path):
    Image.open(path).convert('P').save(path, 'PNG')


def _shrink(pixels):
    return pixels[:-2]


def _overpaint(pixels):
    """Gives one pixel to another segment, which exists: areas no longer agree."""
    ids = segments.ids(pixels)
    numbers = np.unique(ids[ids > 0])
    y, x = np.argwhere(ids == numbers[0])[0]
    pixels[y, x] = segments.color(numbers[1:2])[0]
    return pixels


def _invent(pixels):
    pixels[0, 0] = (1, 2, 3)
    return pixels


def _erase_first_segment(pixels, number):
    pixels[segments.ids(pixels) == number] = 0
    return pixels


def _erase(folder):
    entry = json.loads((folder / 'panoptic.json').read_text())['annotations'][0]
    number = entry['segments_info'][0]['id']
    path = folder / 'panoptic' / entry['file_name']
    _repaint(lambda pixels: _erase_first_segment(pixels, number))(path)


def _train_ids(spec, keep=()):
    """Numbers categories as inside panpipe; keeps one segment official."""

    def change(content):
        for entry in content['annotations']:
            for segment in entry['segments_info']:
                if segment['category_id'] not in keep:
                    segment['category_id'] = spec.from_official[segment['category_id']].id

    return lambda folder: _edit(folder, change)


def _semantic_train_ids(folder):
    spec = SPECS['cityscapes']
    table = np.full(256, 255, np.uint8)
    for category in spec.categories:
        table[category.official_id] = category.id
    for path in (folder / 'semantic').iterdir():
        _repaint(lambda pixels: table[pixels])(path)


def _blank(folder):
    """Predicts nothing anywhere, consistently."""
    _edit(folder, lambda content: [entry.update(segments_info=[]) for entry in content['annotations']])
    for path in (folder / 'panoptic').iterdir():
        _repaint(np.zeros_like)(path)


def _split_stuff(entry):
    first = next(s for s in entry['segments_info'] if s['category_id'] == 187)
    entry['segments_info'].append({**first, 'id': first['id'] ^ 1})


def _repeat_segment(entry):
    entry['segments_info'].append(entry['segments_info'][0])


def _on_line(change):
    """Changes the fields of the first line of the first text file."""

    def spoil(folder):
        path = min((folder / 'instance').glob('*.txt'))
        first, *rest = path.read_text().splitlines()
        path.write_text('\n'.join([' '.join(change(first.split(' '))), *rest]) + '\n')

    return spoil


def _on_mask(change):
    def spoil(folder):
        path = min((folder / 'instance' / 'masks').iterdir())
        png.save(str(path), change(np.array(Image.open(path))))

    return spoil


def _on_detection(change):
    def spoil(folder):
        content = json.loads((folder / 'instances.json').read_text())
        change(content[0])
        (folder / 'instances.json').write_text(json.dumps(content))

    return spoil


def _detect_twice(folder):
    content = json.loads((folder / 'instances.json').read_text())
    (folder / 'instances.json').write_text(json.dumps([content[0], *content]))


ANY, CITYSCAPES, COCO = ('cityscapes', 'coco'), ('cityscapes',), ('coco',)
_JSON = _on_document
BROKEN = {
    'no json': (ANY, lambda folder: (folder / 'panoptic.json').unlink(), 'cannot be read'),
    'cut json': (ANY, _JSON('{"annotations": ['), 'is not JSON'),
    'list json': (ANY, _JSON('[]'), 'is not an object with a list of annotations'),
    'no annotations': (ANY, _JSON('{"annotations": []}'), 'has no predictions; run `panpipe predict`'),
    'text entry': (ANY, _JSON('{"annotations": ["a"]}'), 'annotations[0]: is not an object'),
    'no image id': (ANY, _on_first(lambda entry: entry.pop('image_id')), 'annotations[0]: has no image_id'),
    'no file name': (ANY, _on_first(lambda entry: entry.pop('file_name')), 'has no file_name'),
    'no segments': (ANY, _on_first(lambda entry: entry.pop('segments_info')), 'no list of segments_info'),
    'text area': (
        ANY,
        _on_segment(lambda segment: segment.update(area='7')),
        'has no area that is an integer',
    ),
    'text id': (ANY, _on_segment(lambda segment: segment.update(id='7')), 'has no id that is an integer'),
    'missing image': (ANY, lambda f: _edit(f, lambda c: c['annotations'].pop(0)), 'has no prediction of'),
    'twice': (
        ANY,
        lambda f: _edit(f, lambda c: c['annotations'].append(c['annotations'][0])),
        'predicts the image FIRST 2 times',
    ),
    'image id as text': (
        COCO,
        _on_first(lambda entry: entry.update(image_id=str(entry['image_id']))),
        'the evaluator calls this image 5',
    ),
    'image id with suffix': (
        CITYSCAPES,
        _on_first(lambda entry: entry.update(image_id=entry['image_id'] + '_leftImg8bit')),
        'predicts FIRST_leftImg8bit, which is no image of the split',
    ),
    'shared png': (
        CITYSCAPES,
        lambda f: _edit(f, lambda c: c['annotations'][1].update(file_name=c['annotations'][0]['file_name'])),
        'names the file FIRST.png for 2 images',
    ),
    'segment twice': (ANY, _on_first(_repeat_segment), 'is listed twice'),
    'segment 0': (ANY, _on_segment(lambda segment: segment.update(id=0)), 'outside 1 .. 16777215'),
    'crowd': (ANY, _on_segment(lambda segment: segment.update(iscrowd=1)), 'is a crowd; write iscrowd 0'),
    'split stuff': (
        COCO,
        _on_first(_split_stuff),
        'image FIRST: has 2 segments of the stuff class sky-other-merged',
    ),
    'unknown category': (
        ANY,
        _on_segment(lambda segment: segment.update(category_id=999)),
        'image FIRST: has the category 999, which',
    ),
    'train ids': (CITYSCAPES, _train_ids(SPECS['cityscapes']), 'these look like train ids; write official'),
    'contiguous ids': (COCO, _train_ids(SPECS['coco']), 'these look like train ids; write official'),
    'a few train ids': (
        CITYSCAPES,
        _train_ids(SPECS['cityscapes'], keep=(23,)),
        'which cityscapes_panoptic lacks',
    ),
    'all void': (ANY, _blank, 'has no segment in any image'),
    'missing png': (ANY, _on_png('panoptic', pathlib.Path.unlink), 'panoptic/FIRST.png: is missing'),
    'cut png': (ANY, _on_png('panoptic', _cut), 'panoptic/FIRST.png: cannot be decoded'),
    'text png': (
        ANY,
        _on_png('panoptic', lambda path: path.write_text('png')),
        'cannot be decoded (not an image)',
    ),
    'jpeg': (ANY, _on_png('panoptic', _save_jpeg), 'is a JPEG file; save it as PNG'),
    'palette': (ANY, _on_png('panoptic', _save_palette), 'mode P, 8 bits a channel; save it in mode RGB'),
    '16 bits': (ANY, _on_png('panoptic', _save_16_bits), 'mode RGB, 16 bits a channel'),
    'size': (ANY, _on_png('panoptic', _repaint(_shrink)), 'is (62, 128), its image (64, 128)'),
    'strange colour': (
        ANY,
        _on_png('panoptic', _repaint(_invent)),
        'has 1 pixels of segment 197121, which panoptic.json does not list',
    ),
    'overpainted': (ANY, _on_png('panoptic', _repaint(_overpaint)), 'panoptic.json says'),
    'erased': (ANY, _erase, 'has no pixel of segment'),
    'wrong area': (ANY, _on_segment(lambda segment: segment.update(area=1)), 'panoptic.json says 1'),
    'stray file': (
        ANY,
        lambda folder: (folder / 'panoptic' / 'a.png.123.partial').touch(),
        'panoptic/a.png.123.partial: is the file of no prediction',
    ),
    'notes': (ANY, lambda folder: (folder / 'notes.txt').touch(), 'notes.txt: is the file of no prediction'),
    'missing label ids': (
        CITYSCAPES,
        _on_png('semantic', pathlib.Path.unlink),
        'semantic/FIRST.png: is missing',
    ),
    'label ids in colour': (
        CITYSCAPES,
        _on_png('semantic', _repaint(lambda pixels: np.stack([pixels] * 3, -1))),
        'mode RGB, 8 bits a channel; save it in mode L',
    ),
    'label id size': (CITYSCAPES, _on_png('semantic', _repaint(_shrink)), 'semantic/FIRST.png: is (62'),
    'unknown label id': (
        CITYSCAPES,
        _on_png('semantic', _repaint(lambda pixels: pixels + 40)),
        'semantic/FIRST.png: has the label id',
    ),
    'no text file': (CITYSCAPES, lambda f: min((f / 'instance').glob('*.txt')).unlink(), 'cannot be read'),
    'two fields': (CITYSCAPES, _on_line(lambda fields: fields[:2]), 'has 2 fields'),
    'mask elsewhere': (CITYSCAPES, _on_line(lambda fields: ['/a.png', *fields[1:]]), 'outside instance/'),
    'stuff instance': (CITYSCAPES, _on_line(lambda fields: [fields[0], '7', fields[2]]), 'which is stuff'),
    'train id instance': (CITYSCAPES, _on_line(lambda fields: [fields[0], '1', '1']), "has the class '1'"),
    'score of 2': (CITYSCAPES, _on_line(lambda fields: [*fields[:2], '2']), "has the score '2'"),
    'nan score': (CITYSCAPES, _on_line(lambda fields: [*fields[:2], 'nan']), "has the score 'nan'"),
    'empty mask': (CITYSCAPES, _on_mask(np.zeros_like), 'has no pixel'),
    'full mask': (CITYSCAPES, _on_mask(np.ones_like), 'pixels with other masks'),
    'small mask': (CITYSCAPES, _on_mask(lambda mask: mask[1:]), 'its image (64, 128)'),
    'lost mask': (CITYSCAPES, lambda f: min((f / 'instance' / 'masks').iterdir()).unlink(), 'is missing'),
    'cut instances': (COCO, lambda f: (f / 'instances.json').write_text('['), 'cannot be read'),
    'object of instances': (COCO, lambda f: (f / 'instances.json').write_text('{}'), 'is not a list'),
    'no score': (COCO, _on_detection(lambda entry: entry.pop('score')), 'lacks a field'),
    'box': (COCO, _on_detection(lambda entry: entry.update(bbox=[0, 0, 1, 1])), 'has a bbox'),
    'stuff detection': (COCO, _on_detection(lambda entry: entry.update(category_id=200)), 'which is stuff'),
    'strange image': (COCO, _on_detection(lambda entry: entry.update(image_id=999)), 'panoptic.json lacks'),
    'no mask': (COCO, _on_detection(lambda entry: entry.update(segmentation=[1])), 'no run-length encoded'),
    'detected twice': (COCO, _detect_twice, 'pixels with other masks'),
    'semantic train ids': (CITYSCAPES, _semantic_train_ids, 'these look like train ids; write label ids'),
}
# These cannot but show in every segment.
FLOODS = ('shared png', 'a few train ids', 'full mask')
CASES = [(case, name) for case, (names, _, _) in BROKEN.items() for name in names]


@pytest.mark.parametrize(('case', 'name'), CASES, ids=lambda value: str(value).replace(' ', '_'))
def test_each_fault_is_caught(folders, capsys, case, name):
    _, spoil, words = BROKEN[case]
    raw, folder = folders[name]
    first = min(path.stem for path in (folder / 'panoptic').iterdir())
    spoil(folder)
    assert _run(name, folder, '--ground_truth', raw) == 2
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert any(words.replace('FIRST', first) in line for line in lines[:-1]), lines
    assert lines[-1].startswith(f'panpipe validate: error: {folder} has ')
    assert len(lines) <= 6 or case in FLOODS
    assert 'sound' not in told.out
    assert all(line.count(': ') >= 1 and '; ' in line for line in lines)


@pytest.mark.parametrize('name', SPECS)
def test_sound_folders_pass(made, capsys, name):
    raw, folder = made[name]
    capsys.readouterr()
    images = {'cityscapes': raw / 'leftImg8bit' / 'val', 'coco': raw / 'val2017'}[name]
    told = []
    for more in (['--ground_truth', raw], ['--images', images], []):
        assert _run(name, folder, *more) == 0
        told += capsys.readouterr().out.splitlines()
    assert told[0] == told[1]
    assert told[0].startswith(f'panpipe validate: {folder} is sound: 3 images, ')
    assert told[2] == f'{told[0]}, compared with no images'
    assert ('label-id PNGs too' in told[0]) == (name == 'cityscapes')


def test_one_void_image_is_no_fault(folders, capsys):
    raw, folder = folders['coco']
    _on_first(lambda entry: entry.update(segments_info=[]))(folder)
    _on_png('panoptic', _repaint(np.zeros_like))(folder)
    assert _run('coco', folder, '--ground_truth', raw) == 0
    assert '1 images altogether void' in capsys.readouterr().out


def test_label_ids_that_might_be_train_ids_pass():
    spec = SPECS['cityscapes']
    assert pngs.label_ids({'a': {7, 8, 11}, 'b': {0, 17}}, spec) == []
    assert pngs.label_ids({'a': {7, 8, 33}, 'b': {1, 4}}, spec) == []
    (fault,) = pngs.label_ids({'a': {7, 8}, 'b': {0, 255}}, spec)
    assert '(7 road … 33 bicycle)' in str(fault)
    (fault,) = pngs.label_ids({'a': {12, 1}}, SPECS['coco'])
    assert '(1 person … 200 rug-merged)' in str(fault)


def test_ten_faults_are_told_and_all_counted(folders, capsys):
    raw, folder = folders['coco']
    for number in range(14):
        (folder / f'{number:02d}.txt').touch()
    assert _run('coco', folder, '--ground_truth', raw) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line[:6] for line in lines[:-1]] == [f'{number:02d}.txt' for number in range(10)]
    assert 'has 14 faults, the first 10 are above' in lines[-1]


def test_a_fault_is_one_line():
    assert str(fault.Fault('here', 'is wrong', 'mend it')) == 'here: is wrong; mend it'


def test_turned_photos_are_compared_upright(tmp_path):
    image = Image.fromarray(np.zeros((10, 20, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / 'a.jpg', exif=exif)
    assert images.upright_size(str(tmp_path / 'a.jpg')) == (20, 10)
    assert images.upright_size(str(tmp_path / 'a.jpg'), (10, 20)) == (10, 20)


@pytest.mark.parametrize('name', SPECS)
def test_predictions_need_not_tell_areas(folders, name):
    raw, folder = folders[name]
    _on_segment(lambda segment: segment.pop('area'))(folder)
    assert _run(name, folder, '--ground_truth', raw) == 0


def test_any_number_may_be_an_id_where_no_annotation_tells(folders):
    raw, folder = folders['coco']
    for name in ('panoptic.json', 'instances.json'):
        (folder / name).write_text((folder / name).read_text().replace('"image_id": ', '"image_id": 7'))
    assert _run('coco', folder) == 0
    assert _run('coco', folder, '--ground_truth', raw) == 2


@pytest.mark.parametrize(
    ('more', 'words'),
    [
        (['--predictions', 'nowhere'], 'the folder --predictions nowhere does not exist'),
        (['--images', 'nowhere'], '--images nowhere holds no'),
        (['--dataset', 'cityscapes_panoptic'], 'cityscapes_panoptic has --format cityscapes'),
        (['--dataset', 'kitty'], "unknown data set 'kitty'"),
        (['--ground_truth', 'nowhere'], 'nowhere is not a folder'),
    ],
)
def test_mistakes_are_told_in_one_line(made, capsys, more, words):
    assert _run('coco', made['coco'][1], *more) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert words in told[0]


def test_label_id_pngs_alone_are_sound_and_their_faults_told(made, tmp_path, capsys):
    raw, whole = made['cityscapes']
    folder = tmp_path / 'classes'
    shutil.copytree(whole / 'semantic', folder / 'semantic')
    assert _run('cityscapes', folder, '--ground_truth', raw) == 0
    assert '3 label-id PNGs' in capsys.readouterr().out
    min((folder / 'semantic').iterdir()).unlink()
    assert _run('cityscapes', folder, '--ground_truth', raw) == 2
    assert 'is missing' in capsys.readouterr().err


@pytest.mark.parametrize('name', SPECS)
def test_large_pngs_are_read_up_to_a_limit(folders, monkeypatch, capsys, name):
    _, folder = folders[name]
    monkeypatch.setenv(image_files.VARIABLE, '500')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)  # what Pillow takes for a bomb is none here
    assert _run(name, folder) == 0
    Image.fromarray(np.zeros((1500, 1000, 3), np.uint8)).save(next((folder / 'panoptic').iterdir()))
    assert _run(name, folder, '--max_megapixels', '1') == 2
    told = capsys.readouterr().err
    assert 'has 1000 x 1500 pixels, more than 1 megapixels; make it smaller, or raise the limit' in told


def test_large_masks_are_read_up_to_a_limit(folders, monkeypatch, capsys):
    _, folder = folders['cityscapes']
    monkeypatch.setenv(image_files.VARIABLE, '500')
    Image.fromarray(np.full((1500, 1000), 255, np.uint8)).save(next((folder / 'instance/masks').iterdir()))
    assert _run('cityscapes', folder, '--max_megapixels', '1') == 2
    assert 'has 1000 x 1500 pixels, more than 1 megapixels' in capsys.readouterr().err
