# SPDX-License-Identifier: Apache-2.0
"""One picture of a record or of a prediction; mistakes are one line."""

import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from apache_beam.io import filesystems, tfrecordio
from PIL import Image

import experiments
import synthetic
from panpipe.model import datasets
from panpipe.model.drawing import sheet
from panpipe.model.inputs import records
from panpipe.pipelines import convert, show
from panpipe.pipelines.formats import png
from panpipe.pipelines.record_files import lookup
from panpipe.pipelines.reporting import predicted_sheet

CITYSCAPES, COCO = (datasets.SPECS[f'{name}_panoptic'] for name in ('cityscapes', 'coco'))
FIRST = {'cityscapes': 'toytown_000000_000019', 'coco': '000000000001'}


@pytest.fixture(scope='module', params=(CITYSCAPES, COCO), ids=lambda spec: spec.layout)
def scene(request, tmp_path_factory):
    """Raw data, records and predictions: (folder, data set)."""
    folder, spec = tmp_path_factory.mktemp('show'), request.param
    raw = synthetic.toy(folder, spec.name, images=4)
    raw.rename(folder / 'raw')
    given = ['--dataset', spec.name, '--input', str(folder / 'raw'), '--output', str(folder / 'records')]
    assert convert.main([*given, '--num_shards=1']) == 0
    named = {name: np.roll(truth, 2, 1) for name, truth in synthetic.truths(folder / 'raw', spec).items()}
    synthetic.write_predictions(folder / 'predictions', named, spec)
    synthetic.write_predictions(folder / 'classes', named, spec, has_instances=False)
    (folder / 'empty').mkdir()
    return folder, spec


def _size(path):
    with Image.open(path) as image:
        return image.size


def _write(path, *content):
    with filesystems.FileSystems.create(str(path)) as file:
        for record in content:
            tfrecordio._TFRecordUtil.write_record(file, records.serialize(record))


def test_a_record_is_drawn_and_more_with_crops(scene, tmp_path, capsys):
    folder, spec = scene
    plain, more, other = (tmp_path / f'{name}.png' for name in ('plain', 'more', 'other'))
    pattern = f'{folder}/records/train-*'
    assert show.main([pattern, '--output', str(plain)]) == 0
    assert capsys.readouterr().out == f'panpipe show: wrote {plain}\n'
    config = ['--config', str(experiments.CONFIG.with_name(f'{spec.layout}_mobilenet_v3_small.textproto'))]
    given = [pattern, '--image', FIRST[spec.layout], *config, '--crops', '2']
    assert show.main([*given, '--output', str(more)]) == 0
    assert show.main([*given, '--seed', '1', '--output', str(other)]) == 0
    (width, height), (wide, tall) = _size(plain), _size(more)
    assert width == wide == sheet.WIDTH
    assert tall > height
    assert more.read_bytes() != other.read_bytes()
    assert not list(tmp_path.glob('*.partial'))


def test_ids_are_listed(scene, capsys):
    folder, spec = scene
    assert show.main([f'{folder}/records/train-*', '--list']) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 4
    assert listed[0] == FIRST[spec.layout]
    assert show.main([f'{folder}/records', '--list']) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert show.main([f'{folder}/predictions', '--dataset', spec.name, '--list']) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize('kind', ['predictions', 'classes'])
def test_a_prediction_is_drawn_with_as_much_as_is_known(scene, tmp_path, kind):
    folder, spec = scene
    photos = folder / 'raw' / ('leftImg8bit/val' if spec is CITYSCAPES else 'val2017')
    heights = []
    for more in ([], ['--photos', str(photos)], ['--photos', f'{folder}/records/val-*']):
        output = tmp_path / f'{len(heights)}.png'
        given = [f'{folder}/{kind}', '--dataset', spec.name, '--output', str(output)]
        assert show.main([*given, *more]) == 0
        heights.append(_size(output)[1])
    assert heights == sorted(heights)
    assert heights[2] > heights[0]
    again = tmp_path / 'again.png'
    given = [f'{folder}/{kind}', '--dataset', spec.name, '--output', str(again)]
    assert show.main([*given, '--photos', f'{folder}/records']) == 0
    assert again.read_bytes() == (tmp_path / '2.png').read_bytes()


def test_classes_alone_are_judged_as_classes(scene, tmp_path, monkeypatch):
    """Two cars side by side are one region of cars, so a perfect map of classes has no error."""
    folder, spec = scene
    named = synthetic.truths(folder / 'raw', spec)
    synthetic.write_predictions(tmp_path / 'classes', named, spec, has_instances=False)
    seen = []
    errors = predicted_sheet.error_maps.errors
    monkeypatch.setattr(
        predicted_sheet.error_maps, 'errors', lambda *maps: seen.append(errors(*maps)) or seen[-1]
    )
    given = [str(tmp_path / 'classes'), '--dataset', spec.name, '--photos', f'{folder}/records/val-*']
    assert show.main([*given, '--output', str(tmp_path / 'x.png')]) == 0
    assert set(np.unique(seen[0])) <= {0, 1}


def test_a_page_shows_the_first_images_and_needs_nothing_else(scene, tmp_path):
    folder, spec = scene
    for given, count, pictures in (
        ([f'{folder}/records'], 3, 18),
        ([f'{folder}/predictions', '--dataset', spec.name, '--photos', f'{folder}/records'], 1, 6),
    ):
        output = tmp_path / f'page{count}'
        assert show.main([*given, '--page', '3', '--output', str(output)]) == 0
        text = output.read_text()
        assert text.count('<section>') == count
        assert text.count('<figure>') == pictures
        assert not re.search(r'(src|href)="(?!data:)', text)
        assert text.count('<b>Classes</b>') == count
    assert (tmp_path / 'page3').read_text().count('<b>Targets</b>') == 1


def test_a_record_without_label_is_its_photo(tmp_path):
    pixels = np.full((40, 60, 3), 90, np.uint8)
    encoded = png.encode(pixels)
    _write(tmp_path / 'test.tfrecord', records.Record('a', encoded, 'png', 40, 60))
    output = tmp_path / 'a.png'
    given = [str(tmp_path), '--dataset', 'coco_panoptic', '--output', str(output)]
    assert show.main(given) == 0
    assert _size(output)[0] == sheet.WIDTH
    config = ['--config', str(experiments.CONFIG), '--crops', '1']
    assert show.main([*given[:1], '--dataset', CITYSCAPES.name, *given[3:], *config]) == 2


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        (['R', '--output', 'x.jpg'], '--output x.jpg must end in .png'),
        (['R', '--page', '0'], '--page needs a number of at least 1'),
        (['R', '--page', '2', '--image', 'FIRST'], 'so no --image'),
        (['R', '--crops', '1'], '--crops needs --config'),
        (['R', '--crops', '-1'], '--crops is -1; it must be at least 0'),
        (['R', '--photos', 'R'], '--photos is for predictions'),
        (['R', '--image', 'FIRSTx'], 'did you mean FIRST'),
        (['R', '--image', '???'], 'see --list'),
        (['R', '--dataset', 'kitty'], "unknown data set 'kitty'"),
        (['R', '--config', 'absent.textproto'], 'absent.textproto'),
        (['BARE'], 'no manifest.json beside the records names their data set; give --dataset'),
        (['BARE', '--dataset', 'OTHER'], 'check --dataset'),
        (['CUT'], 'is no intact record file'),
        (['EMPTY'], 'EMPTY matches no file; give records that `panpipe convert` wrote'),
        (['none*'], 'none* matches no file'),
        (['P'], 'name their data set: --dataset'),
        (['P', '--dataset', 'OTHER'], 'is of another data set than '),
        (['P', 'R', '--dataset', 'OWN'], 'give one such folder'),
        (['P', '--dataset', 'OWN', '--crops', '1', '--config', 'c'], 'neither --config nor --crops'),
        (['P', '--dataset', 'OWN', '--image', '77'], "holds no image '77', but 1 others"),
        (['P', '--dataset', 'OWN', '--photos', 'none'], '--photos none: there is no such folder or file'),
        (['P', '--dataset', 'OWN', '--photos', 'TRAIN'], 'name records of that split'),
        (['P', '--dataset', 'OWN', '--photos', 'SMALL'], 'check --photos'),
        (['NONE', '--dataset', 'coco_panoptic'], 'holds no prediction; run `panpipe predict` again'),
    ],
)
def test_mistakes_are_one_line_and_status_2(scene, tmp_path, capsys, given, words):
    folder, spec = scene
    other = COCO if spec is CITYSCAPES else CITYSCAPES
    shard = folder / 'records' / 'train-00000-of-00001.tfrecord'
    (tmp_path / 'bare.tfrecord').write_bytes(shard.read_bytes())
    (tmp_path / 'cut.tfrecord').write_bytes(shard.read_bytes()[:3000])
    (tmp_path / 'none').mkdir()
    (tmp_path / 'none' / 'panoptic.json').write_text('{"annotations": []}')
    name = _only_image(folder)
    _write(tmp_path / 'small', records.Record(name, png.encode(np.zeros((9, 9, 3), np.uint8)), 'png', 9, 9))
    places = {
        'R': str(folder / 'records' / 'train-*'),
        'TRAIN': str(folder / 'records' / 'train-*'),
        'P': str(folder / 'predictions'),
        'EMPTY': str(folder / 'empty'),
        'BARE': str(tmp_path / 'bare.tfrecord'),
        'CUT': str(tmp_path / 'cut.tfrecord'),
        'NONE': str(tmp_path / 'none'),
        'SMALL': str(tmp_path / 'small'),
        'OWN': spec.name,
        'OTHER': other.name,
        'FIRSTx': f'{FIRST[spec.layout]}x',
    }
    arguments = [places.get(word, word) for word in given]
    if '--output' not in given:
        arguments += ['--output', str(tmp_path / 'x.png')]
    assert show.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith('panpipe show: error: ')
    assert error.count('\n') == 1
    assert words.replace('FIRST', FIRST[spec.layout]).replace('EMPTY', places['EMPTY']) in error
    assert not (tmp_path / 'x.png').exists()


def _only_image(folder):
    paths = lookup.find_files([f'{folder}/records/val-*'])
    return records.image_id(next(lookup.read(paths)))


def test_a_configuration_of_another_data_set_is_refused(scene, tmp_path, capsys):
    folder, spec = scene
    if spec is CITYSCAPES:
        pytest.skip('the configuration is of this data set')
    given = [f'{folder}/records/train-*', '--config', str(experiments.CONFIG)]
    assert show.main([*given, '--output', str(tmp_path / 'x.png')]) == 2
    assert '--set train_dataset_options.dataset=coco_panoptic' in capsys.readouterr().err


def test_a_damaged_manifest_is_told(scene, tmp_path, capsys):
    folder, _ = scene
    shard = folder / 'records' / 'train-00000-of-00001.tfrecord'
    (tmp_path / shard.name).write_bytes(shard.read_bytes())
    (tmp_path / 'manifest.json').write_text(json.dumps([]))
    assert show.main([str(tmp_path), '--output', str(tmp_path / 'x.png')]) == 2
    assert 'manifest.json is damaged' in capsys.readouterr().err


@pytest.mark.slow
def test_listing_does_without_tensorflow_and_the_console_stays_clean(scene, tmp_path):
    folder, spec = scene
    if spec is COCO:
        pytest.skip('once is enough')
    program = (
        'import sys\n'
        'from panpipe.pipelines import show\n'
        'assert show.main(sys.argv[1:2] + ["--list"]) == 0\n'
        "assert not {'tensorflow', 'keras'} & set(sys.modules), 'heavy import'\n"
        'assert show.main(sys.argv[1:]) == 0\n'
    )
    pattern = f'{folder}/records/train-*'
    done = subprocess.run(
        [sys.executable, '-c', program, pattern, '--output', str(tmp_path / 'x.png')],
        check=True,
        cwd=pathlib.Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ''
