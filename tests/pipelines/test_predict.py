# SPDX-License-Identifier: Apache-2.0
"""The predict job on a real, if simple, SavedModel: the brighter the pixel, the more a car."""

import json
import shutil
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import synthetic
import thresholds
from panpipe.custom_ops import library
from panpipe.model import datasets, errors
from panpipe.model.inputs import records
from panpipe.pipelines import predict, sources, validate
from panpipe.pipelines.formats import maps, png, segments
from panpipe.pipelines.predictions import notes, resumption, saved_model
from panpipe.pipelines.running import failures

SPECS = {spec.layout: spec for spec in datasets.SPECS.values()}
STUFF, THING = thresholds.STUFF, thresholds.THING


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """Exports a model for each layout."""
    folders = {layout: tmp_path_factory.mktemp('models') / layout for layout in THING}
    for layout, folder in folders.items():
        thresholds.save(folder, SPECS[layout])
    return folders


@pytest.fixture
def photos(tmp_path):
    """Writes PNG images of several sizes into nested folders, and returns the folder."""
    rng = np.random.default_rng(0)
    for number, size in enumerate([(20, 30), (31, 17), (8, 40)]):
        path = tmp_path / 'photos' / f'day{number % 2}' / f'{number:012d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(path)
    (tmp_path / 'photos' / 'notes.txt').write_text('not an image')
    return tmp_path / 'photos'


def _expected(pixels, layout):
    semantic = np.where(pixels[..., 0] > 127, THING[layout], STUFF[layout])
    instance = np.where(semantic == THING[layout], pixels[..., 1] // 64 + 1, 0)
    return semantic * SPECS[layout].labels.label_divisor + instance


def _arguments(model, given, output):
    return ['--saved_model', str(model), '--input', str(given), '--output', str(output)]


def _run(model, given, output, *more):
    return predict.main([*_arguments(model, given, output), *more])


def _assert_predicted(folder, images, layout):
    """Compares the files of `folder` with images, uint8 arrays by name."""
    spec = SPECS[layout]
    document = json.loads((folder / 'panoptic.json').read_text())
    entries = {entry['file_name'].removesuffix('.png'): entry for entry in document['annotations']}
    assert set(entries) == set(images)
    assert {path.stem for path in (folder / 'panoptic').iterdir()} == set(images)
    for name, pixels in images.items():
        colors, found = segments.encode(_expected(pixels, layout), spec)
        assert entries[name]['segments_info'] == segments.annotation(name, name, found)['segments_info']
        np.testing.assert_array_equal(np.array(Image.open(folder / 'panoptic' / f'{name}.png')), colors)
        if layout == 'cityscapes':
            label_ids = np.array(Image.open(folder / 'semantic' / f'{name}.png'))
            np.testing.assert_array_equal(label_ids == 26, pixels[..., 0] > 127)
    assert (folder / 'semantic').exists() == (layout == 'cityscapes')


def test_a_folder_of_images(models, photos, tmp_path, capsys):
    assert _run(models['coco'], photos, tmp_path / 'out', '--format', 'coco') == 0
    images = {path.stem: np.array(Image.open(path)) for path in photos.rglob('*.png')}
    _assert_predicted(tmp_path / 'out', images, 'coco')
    document = json.loads((tmp_path / 'out' / 'panoptic.json').read_text())
    assert [entry['image_id'] for entry in document['annotations']] == [0, 1, 2]
    told = capsys.readouterr()
    assert 'wrote 3 predictions' in told.out
    assert 'predict: 3/3' in told.err
    assert {path.name for path in tmp_path.iterdir()} == {'photos', 'out'}


def test_one_image(models, photos, tmp_path):
    path = next(photos.rglob('*.png'))
    assert _run(models['coco'], path, tmp_path / 'out') == 0
    _assert_predicted(tmp_path / 'out', {path.stem: np.array(Image.open(path))}, 'coco')


def test_a_split_of_a_raw_data_set(models, tmp_path):
    raw = synthetic.toy(tmp_path / 'raw', images=6)
    assert _run(models['cityscapes'], raw, tmp_path / 'out', '--split', 'val') == 0
    entries = sources.module(SPECS['cityscapes']).list_images(raw, 'val', SPECS['cityscapes'])
    images = {entry.image_id: np.array(Image.open(entry.path)) for entry in entries}
    assert len(images) == 2
    _assert_predicted(tmp_path / 'out', images, 'cityscapes')


def test_records(models, photos, tmp_path):
    images = {path.stem: np.array(Image.open(path)) for path in photos.rglob('*.png')}
    serialized = [
        records.serialize(records.Record(path.stem, path.read_bytes(), 'png', *images[path.stem].shape[:2]))
        for path in photos.rglob('*.png')
    ]
    for shard, content in {'val-0': serialized[:2], 'val-1': serialized[2:]}.items():
        with tf.io.TFRecordWriter(str(tmp_path / shard)) as writer:
            for record in content:
                writer.write(record)
    patterns = f'{tmp_path}/val-0*, {tmp_path}/val-1*'
    assert _run(models['coco'], patterns, tmp_path / 'out') == 0
    _assert_predicted(tmp_path / 'out', images, 'coco')
    assert _run(models['coco'], tmp_path / 'val-1', tmp_path / 'one') == 0
    last = list(images)[2]
    _assert_predicted(tmp_path / 'one', {last: images[last]}, 'coco')


def test_beam_equals_the_bare_model(models, photos):
    path = next(photos.rglob('*.png'))
    image = saved_model.Image(path.stem, path.read_bytes())
    handler = saved_model.Handler(str(models['coco']), failures.Policy(), is_shared=True)
    (maps,) = handler.run_inference([image], handler.load_model())
    np.testing.assert_array_equal(maps.panoptic, _expected(np.array(Image.open(path)), 'coco'))
    assert maps.panoptic.dtype == maps.semantic.dtype == np.int32
    assert handler.batch_elements_kwargs() == {'min_batch_size': 4, 'max_batch_size': 4}
    assert handler.share_model_across_processes()
    assert handler.get_num_bytes([image, image]) == 2 * len(image.encoded)


def test_a_damaged_image_is_named_and_no_output_appears(models, photos, tmp_path, capsys):
    path = sorted(photos.rglob('*.png'))[1]
    path.write_bytes(path.read_bytes()[:-100])
    assert _run(models['coco'], photos, tmp_path / 'out') == 2
    assert path.name in capsys.readouterr().err.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {'photos', 'out.partial'}


def test_a_damaged_record_is_named(models, tmp_path, capsys):
    record = records.Record('night', b'\x89PNG\r\n\x1a\n and no more', 'png', 2, 2)
    with tf.io.TFRecordWriter(str(tmp_path / 'val')) as writer:
        writer.write(records.serialize(record))
    assert _run(models['coco'], tmp_path / 'va*', tmp_path / 'out') == 2
    assert 'error: image night cannot be decoded' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ({'--saved_model': 'nowhere'}, 'nowhere holds no saved_model.pb'),
        ({'--format': 'cityscapes'}, 'trained on coco_panoptic; give --format coco'),
        ({'--input': 'nowhere/*.tfrecord'}, 'matches no file'),
        ({'--input': 'EMPTY'}, 'holds no image file'),
        ({'--input': 'EMPTY', '--split': 'val'}, 'EMPTY'),
        ({'--input': 'PHOTOS'}, 'matches image files, such as'),
        ({'--input': 'DAMAGED'}, 'is no intact record file'),
        ({'--output': 'EMPTY'}, 'exists; remove it'),
        (
            {'--algorithm': 'a/b', '--zip': None},
            "--algorithm is 'a/b', which goes into the names of archives",
        ),
        ({'--colour': 'red'}, '--colour'),
    ],
    ids=str,
)
def test_mistakes_are_told_in_one_line(models, photos, tmp_path, capsys, arguments, words):
    (tmp_path / 'EMPTY').mkdir()
    (tmp_path / 'DAMAGED.tfrecord').write_bytes(b'x' * 40)
    places = {'EMPTY': str(tmp_path / 'EMPTY'), 'DAMAGED': str(tmp_path / 'DAMAGED.*')}
    places['PHOTOS'] = str(photos / 'day0' / '*.png')
    given = {'--saved_model': models['coco'], '--input': photos, '--output': tmp_path / 'out', **arguments}
    flat = [str(places.get(part, part)) for pair in given.items() for part in pair if part is not None]
    assert predict.main(flat) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith('panpipe predict: error: ')
    assert words in told[-1]
    assert not (tmp_path / 'out').exists()


def test_a_model_without_facts_is_refused(models, photos, tmp_path, capsys):
    shutil.copytree(models['coco'], tmp_path / 'model')
    (tmp_path / 'model' / 'assets.extra' / 'panpipe.json').write_text('{"dataset": "coco_panoptic"}')
    assert _run(tmp_path / 'model', photos, tmp_path / 'out') == 2
    assert 'export the model again' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['saved_model.pb', 'variables/variables.index'])
def test_a_damaged_model_is_told(models, photos, tmp_path, capsys, name):
    folder = tmp_path / 'model'
    shutil.copytree(models['coco'], folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:20])
    assert _run(folder, photos, tmp_path / 'out') == 2
    (told,) = (line for line in capsys.readouterr().err.splitlines() if ': error: ' in line)
    assert f'{folder} cannot be loaded (' in told
    assert told.endswith('export the model again')


class Crops(thresholds.Thresholds):
    """Serves as before, but cannot shrink a strip to the crop, as resizing to 0 rows fails."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, 'image')])
    def serve_pixels(self, image):
        size = tf.shape(image)[:2]
        small = tf.image.resize(tf.cast(image, tf.float32), size * 65 // tf.reduce_max(size))
        with tf.control_dependencies([tf.debugging.assert_greater(tf.size(small), 0)]):
            return super().serve_pixels(image)


@pytest.fixture
def crops(models, tmp_path):
    folder = tmp_path / 'crops'
    model = Crops(SPECS['coco'])
    tf.saved_model.save(model, str(folder), signatures={'pixels': model.serve_pixels})
    shutil.copytree(models['coco'] / 'assets.extra', folder / 'assets.extra', dirs_exist_ok=True)
    return folder


@pytest.mark.parametrize('how', ['strip', 'damaged'])
def test_an_image_that_fails_in_the_model_is_named_or_skipped(crops, photos, tmp_path, capsys, how):
    path = photos / 'day0/strip.png'
    Image.fromarray(np.zeros((3, 1920, 3), np.uint8)).save(path)
    if how == 'damaged':  # of its pixels, which only the decoder of TensorFlow finds
        path = path.rename(path.with_suffix('.jpg'))
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:-200])
    assert _run(crops, photos, tmp_path / 'out') == 2
    (told,) = (line for line in capsys.readouterr().err.splitlines() if ': error: ' in line)
    if how == 'strip':
        assert 'image strip, 3 x 1920 pixels (height x width), cannot be predicted' in told
        assert 'Graph execution error' not in told
        assert 'make it larger or less narrow, or leave it out (--on_error skip)' in told
    assert not (tmp_path / 'out').exists()
    assert _run(crops, photos, tmp_path / 'out', '--on_error', 'skip') == 0
    content = json.loads((tmp_path / 'out/panoptic.json').read_text())
    assert len(content['annotations']) == 3
    (letter,) = (tmp_path / 'out.dead_letters.jsonl').read_text().splitlines()
    assert json.loads(letter)['image'] == 'strip'
    assert 'wrote 3 predictions' in capsys.readouterr().out


def test_records_whose_names_are_one_number_need_ids(models, tmp_path, capsys):
    path = tmp_path / 'val'
    encoded = png.encode(np.zeros((8, 8, 3), np.uint8))
    for ids, status in (((None, None), 2), ((5, 6), 0)):
        with tf.io.TFRecordWriter(str(path)) as writer:
            for name, number in zip(('1', '01'), ids, strict=True):
                writer.write(records.serialize(records.Record(name, encoded, 'png', 8, 8, None, number)))
        assert _run(models['coco'], path, tmp_path / 'out') == status
    assert '01 and 1 would both be called 1 in panoptic.json; convert' in capsys.readouterr().err


def test_images_of_one_name_are_refused():
    with pytest.raises(errors.InputError, match='several images of --input are named 1;'):
        predict.refuse_twins(('1', 2))
    predict.refuse_twins(('2', 1))


@pytest.fixture
def classifier(models, tmp_path):
    """Exports the Cityscapes model as a semantic-only one."""
    folder = shutil.copytree(models['cityscapes'], tmp_path / 'classifier')
    facts = {'dataset': 'cityscapes_panoptic', 'uses_op': False, 'has_instances': False}
    (folder / 'assets.extra' / 'panpipe.json').write_text(json.dumps(facts))
    return folder


def test_a_model_without_instances_makes_label_ids_alone(classifier, photos, tmp_path, capsys):
    assert _run(classifier, photos, tmp_path / 'out') == 0
    assert 'the model has no instances' in capsys.readouterr().out
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['semantic']
    assert len(list((tmp_path / 'out' / 'semantic').iterdir())) == 3


def test_cityscapes_instances_carry_the_scores_of_the_model(models, photos, tmp_path):
    assert _run(models['cityscapes'], photos, tmp_path / 'out') == 0
    for path in photos.rglob('*.png'):
        panoptic = _expected(np.array(Image.open(path)), 'cityscapes')
        lines = (tmp_path / 'out' / 'instance' / f'{path.stem}.txt').read_text().splitlines()
        found = {float(line.split()[2]): line.split()[0] for line in lines}
        ids = [int(i) for i in np.unique(panoptic) if i % 1000]
        assert set(found) == {i % 1000 / 8 for i in ids}
        for i in ids:
            mask = np.array(Image.open(tmp_path / 'out' / 'instance' / found[i % 1000 / 8]))
            np.testing.assert_array_equal(mask, panoptic == i)


@pytest.mark.parametrize(
    ('layout', 'names'),
    [
        ('cityscapes', {'pixel.zip', 'instance.zip', 'panoptic.zip'}),
        ('coco', {'panoptic_test_panpipe_results.zip', 'detections_test_panpipe_results.zip'}),
    ],
)
def test_archives_hold_every_file_once(models, photos, tmp_path, layout, names):
    assert _run(models[layout], photos, tmp_path / 'out', '--zip') == 0
    archives = {path.name: path for path in (tmp_path / 'out' / 'archives').iterdir()}
    assert set(archives) == names
    held = [
        zipfile.ZipFile(path).read(m) for path in archives.values() for m in zipfile.ZipFile(path).namelist()
    ]
    files = [path for path in (tmp_path / 'out').rglob('*') if path.is_file() and path.suffix != '.zip']
    assert sorted(held) == sorted(path.read_bytes() for path in files)
    if layout == 'coco':
        panoptic = zipfile.ZipFile(archives['panoptic_test_panpipe_results.zip']).namelist()
        assert 'panoptic_test_panpipe_results.json' in panoptic
        assert sum(name.startswith('panoptic_test_panpipe_results/') for name in panoptic) == 3


def _die(program, arguments, folder):
    """Runs a program that kills itself while it predicts into `folder/out`."""
    done = subprocess.run([sys.executable, '-c', program, *arguments], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert not (folder / 'out').exists()


def _files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize(
    'last_words',
    [
        # With a PNG that is half written aside.
        'files.os.replace = lambda *at: die() if str(at[1]).endswith(".png") else os.replace(*at)\n',
        'archives._zip = lambda *_: die()\n',
        'resumption.os.rename = lambda *_: die()\n',  # before it appears
    ],
    ids=['writing', 'zipping', 'finishing'],
)
def test_a_run_that_was_killed_anywhere_ends_as_if_it_had_not(models, photos, tmp_path, last_words, capsys):
    arguments = [*_arguments(models['cityscapes'], photos, tmp_path / 'out'), '--zip']
    program = (
        'import os, sys, types\n'
        'from panpipe.pipelines import predict\n'
        'from panpipe.pipelines.predictions import archives, resumption\n'
        'from panpipe.model.storage import files\n'
        'def die(): os.kill(os.getpid(), 9)\n'
        # Of these modules alone.
        'files.os = types.SimpleNamespace(**vars(os))\n'
        'resumption.os = types.SimpleNamespace(**vars(os))\n'
    )
    _die(f'{program}{last_words}predict.main(sys.argv[1:])\n', arguments, tmp_path)
    shutil.copytree(tmp_path / 'out.partial', tmp_path / 'bare.partial')
    assert predict.main(arguments) == 0
    assert 'images are done already' in capsys.readouterr().err
    assert _run(models['cityscapes'], photos, tmp_path / 'other', '--zip') == 0
    assert _files(tmp_path / 'out') == _files(tmp_path / 'other')
    assert len(list((tmp_path / 'out' / 'archives').iterdir())) == 3
    assert validate.main(['--format', 'cityscapes', '--predictions', str(tmp_path / 'out')]) == 0
    assert _run(models['cityscapes'], photos, tmp_path / 'bare') == 0
    whole = _files(tmp_path / 'other')
    assert _files(tmp_path / 'bare') == {name: whole[name] for name in whole if not name.endswith('.zip')}
    assert not (tmp_path / 'bare' / 'archives').exists()


def test_images_that_were_written_anew_are_predicted_anew(models, tmp_path, monkeypatch, capsys):
    def write(value):
        image = np.full((8, 9, 3), value, np.uint8)
        with tf.io.TFRecordWriter(str(tmp_path / 'val.tfrecord')) as writer:
            writer.write(records.serialize(records.Record('1', png.encode(image), 'png', 8, 9)))
        return image

    def stop(*_):
        raise errors.JobError('stopped')

    arguments = _arguments(models['coco'], tmp_path / 'va*', tmp_path / 'out')
    write(0)
    with monkeypatch.context() as context:
        context.setattr(resumption.Unfinished, 'finish', stop)
        assert predict.main(arguments) == 1
    image = write(255)
    assert predict.main(arguments) == 0
    assert 'starts anew' in capsys.readouterr().err
    _assert_predicted(tmp_path / 'out', {'1': image}, 'coco')


def test_a_photo_that_was_taken_away_is_in_no_prediction(models, photos, tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise errors.JobError('stopped')

    arguments = _arguments(models['coco'], photos, tmp_path / 'out')
    with monkeypatch.context() as context:
        context.setattr(resumption.Unfinished, 'finish', stop)
        assert predict.main(arguments) == 1
    next(photos.rglob('*.png')).unlink()
    assert predict.main(arguments) == 0
    images = {path.stem: np.array(Image.open(path)) for path in photos.rglob('*.png')}
    _assert_predicted(tmp_path / 'out', images, 'coco')


@pytest.mark.slow
def test_a_killed_run_goes_on_and_predicts_no_image_again(models, photos, tmp_path, capsys):
    arguments = _arguments(models['coco'], photos, tmp_path / 'out')
    program = (
        'import os, sys\n'
        'from panpipe.pipelines import predict\n'
        'from panpipe.pipelines.predictions import notes, writing\n'
        'write = notes.write\n'
        'def last_words(folder, told):\n'
        '    write(folder, told)\n'
        '    if notes.count(folder) == 2: os.kill(os.getpid(), 9)\n'
        'notes.write, writing._NOTES_A_FILE, writing._MOST_WAITING = last_words, 1, 1\n'
        'predict.main(sys.argv[1:])\n'
    )
    _die(program, arguments, tmp_path)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / 'out.partial').rglob('panoptic/*.png')}
    assert len(times) >= 2  # the next one may be written by then, and is not noted
    assert predict.main(arguments) == 0
    assert '2 images are done already' in capsys.readouterr().err
    images = {path.stem: np.array(Image.open(path)) for path in photos.rglob('*.png')}
    _assert_predicted(tmp_path / 'out', images, 'coco')
    now = {path: (tmp_path / 'out/panoptic' / path.name).stat().st_mtime_ns for path in times}
    assert sum(now[path] == time for path, time in times.items()) >= 2


def test_what_another_model_left_is_not_taken(models, photos, tmp_path, capsys):
    left = resumption.Unfinished.open(str(tmp_path / 'out'), {'saved_model': 'another'})
    notes.write(left.notes, [maps.Note('000000000000', None, [])])
    assert _run(models['coco'], photos, tmp_path / 'out') == 0
    assert 'starts anew' in capsys.readouterr().err
    images = {path.stem: np.array(Image.open(path)) for path in photos.rglob('*.png')}
    _assert_predicted(tmp_path / 'out', images, 'coco')


def test_a_model_with_the_compiled_op_wants_it_built(models, tmp_path, monkeypatch):
    shutil.copytree(models['coco'], tmp_path / 'model')
    facts = {'dataset': 'coco_panoptic', 'uses_op': True, 'has_instances': True}
    (tmp_path / 'model' / 'assets.extra' / 'panpipe.json').write_text(json.dumps(facts))
    monkeypatch.setattr(library, 'FOLDER', tmp_path)
    with pytest.raises(errors.InputError, match=r'python -m panpipe\.custom_ops\.build'):
        saved_model.Predictor(str(tmp_path / 'model'))


def test_the_model_is_let_go_of_after_a_mistake_too(models, tmp_path, monkeypatch, capsys):
    (tmp_path / 'a.png').write_bytes(png.encode(np.zeros((9, 9, 3), np.uint8))[:50])
    released, release = [], saved_model.release
    monkeypatch.setattr(saved_model, 'release', lambda: released.append(release()))
    assert _run(models['coco'], tmp_path / 'a.png', tmp_path / 'out') == 2
    assert 'a.png' in capsys.readouterr().err
    assert len(released) == 1


@pytest.mark.slow
def test_the_command_ends_quietly(models, photos, tmp_path):
    command = [sys.executable, '-m', 'panpipe.components.command', 'predict']
    arguments = _arguments(models['coco'], photos, tmp_path / 'out')
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith(f'panpipe predict: wrote 3 predictions to {tmp_path / "out"}\n')
    told = (' left out: ', 'predict: ')  # a text file beside the photos; progress
    assert all(any(words in line for words in told) for line in done.stderr.splitlines())
