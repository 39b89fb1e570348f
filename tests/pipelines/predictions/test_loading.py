# SPDX-License-Identifier: Apache-2.0
"""The transforms of the predict job around the model, each by itself."""

import json

import numpy as np
import pytest
from PIL import Image

import beams
from panpipe.model import datasets, errors
from panpipe.model.inputs import records
from panpipe.model.storage import files, tfrecords
from panpipe.pipelines import predict
from panpipe.pipelines.formats import maps
from panpipe.pipelines.predictions import loading, photos, resumption, saved_model, writing
from panpipe.pipelines.running import failures

SKIP = failures.Policy(skips=True)
COCO = datasets.SPECS['coco_panoptic']


@pytest.fixture
def folder(tmp_path):
    """Three photos, one of them damaged."""
    for name in 'abc':
        Image.new('RGB', (5, 4)).save(tmp_path / f'{name}.png')
    (tmp_path / 'b.png').write_bytes(b'damage')
    return tmp_path


def _names(images):
    return sorted(image.name for image in images)


def test_image_files_are_loaded_but_for_those_that_are_done(folder):
    listed = list(photos.image_files(str(folder)))
    loaded = beams.outputs(loading.LoadImageFiles(listed, frozenset('a'), SKIP))
    assert [_names(loaded.listed), _names(loaded.images)] == [[*'abc'], ['c']]
    assert [letter.image for letter in loaded.letters] == ['b']
    assert not any(image.encoded for image in loaded.listed)


def test_images_of_records_are_loaded_but_for_those_that_are_done(tmp_path):
    path, told = str(tmp_path / 'a.tfrecord'), ('a', 'c', 'x' * 240)
    serialized = (records.serialize(records.Record(name, b'bytes', 'png', 2, 3)) for name in told)
    files.write_whole(path, b''.join(map(tfrecords.frame, serialized)))
    loaded = beams.outputs(loading.LoadRecordImages([path], frozenset('a'), SKIP))
    assert loaded.listed == [saved_model.Image('a', b''), saved_model.Image('c', b'')]
    assert loaded.images == [saved_model.Image('c', b'bytes')]
    assert ['has 240 bytes' in letter.reason for letter in loaded.letters] == [True]


@pytest.mark.parametrize(
    ('images', 'words'),
    [
        ([('1', None), ('1', 7)], 'several images of --input are named 1'),
        ([('1', None), ('01', None)], '01 and 1 would both be called 1'),
        ([('a', 7), ('b', 7)], 'a and b would both be called 7'),
    ],
)
def test_images_of_one_name_or_id_are_refused(images, words):
    listed = [saved_model.Image(name, b'', number) for name, number in images]
    with pytest.raises(Exception, match=words):
        beams.outputs(predict.RefuseTwins('coco'), listed)


def test_images_of_their_own_names_and_ids_pass():
    listed = [saved_model.Image('1', b''), saved_model.Image('2', b'', '1')]
    beams.outputs(predict.RefuseTwins('coco'), listed)


@pytest.fixture
def plan(tmp_path):
    unfinished = resumption.Unfinished.open(str(tmp_path / 'out'), {'test': 'job'})
    return writing.Plan(unfinished, 'coco', COCO, SKIP, None)


def _predicted(name):
    panoptic = np.full((4, 5), COCO.labels.encode(COCO.labels.stuff_ids[0], 0), np.int32)
    return maps.Maps(name, panoptic, panoptic // COCO.labels.label_divisor, {})


def test_predictions_are_written_and_the_folder_appears_when_all_are(plan, tmp_path):
    listed = [saved_model.Image(name, b'') for name in '123']
    letter = failures.DeadLetter('3', 'is damaged')
    written = beams.outputs(writing.WriteImages(plan), [_predicted('1'), _predicted('2')])
    beams.outputs(writing.FinishFolder(plan), listed, [letter], written)
    told = json.loads((tmp_path / 'out' / 'panoptic.json').read_text())
    assert [one['image_id'] for one in told['annotations']] == [1, 2]
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {
        'instances.json', 'panoptic', 'panoptic.json',
    }  # fmt: skip
    assert 'is damaged' in (tmp_path / f'out{failures.ENDING}').read_text()


def test_a_prediction_that_is_not_written_is_named(plan):
    with pytest.raises(errors.InputError, match=r'the prediction of 1 \(1 in all\) was not written'):
        writing.finish(None, plan, ['1'], [], [])
    assert not plan.unfinished.is_finished()
