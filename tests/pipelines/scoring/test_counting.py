# SPDX-License-Identifier: Apache-2.0
"""The transforms of the evaluate job, each by itself: ground truth in, counts in between, figures out."""

import functools
import operator

import numpy as np
import pytest

import beams
import synthetic
import yards
from panpipe.model import datasets
from panpipe.model.inputs import records
from panpipe.model.metrics import result_files
from panpipe.model.storage import files, tfrecords
from panpipe.pipelines import sources
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.running import failures
from panpipe.pipelines.scoring import counting, evaluation, pairs, reading

SKIP = failures.Policy(skips=True)


@pytest.fixture
def yard(tmp_path):
    return yards.Yard(tmp_path / 'yard')


@pytest.fixture
def spec(yard):
    return datasets.find(str(yard.dataset))


@pytest.fixture
def judgement(yard, spec, tmp_path):
    """Names a folder that holds the ground truth as a prediction."""
    found = synthetic.raw_records(yard.root, spec)
    maps = {name: record.panoptic for name, record in found.items()}
    ids = {name: record.official_id for name, record in found.items()}
    synthetic.write_predictions(tmp_path / 'predictions', maps, spec, ids=ids)
    output = str(tmp_path / 'evaluation.json')
    return counting.Judgement(str(tmp_path / 'predictions'), spec, output, evaluation.Judged('test'), SKIP)


def _images(letters):
    return [letter.image for letter in letters]


def test_ground_truth_of_a_raw_data_set_is_read(yard, spec):
    yards.save(yard.png('im2.png'), np.zeros((2, 2), np.uint8))
    listed = tuple(sources.module(spec).list_images(str(yard.root), 'val', spec))
    found = beams.outputs(reading.ReadRawTruths(listed, SKIP))
    ((name, panoptic, official_id, missing),) = found.results
    assert (name, official_id, missing, panoptic.shape) == ('im1', 1, (), (yards.HEIGHT, yards.WIDTH))
    assert _images(found.letters) == ['im2']


def test_ground_truth_of_records_is_read(tmp_path):
    labelled = records.Record('a', b'', 'png', 2, 3, np.zeros((2, 3), np.int32), 7)
    paths = [str(tmp_path / name) for name in ('val.tfrecord', 'none.tfrecord')]
    told = (labelled, records.Record('b', b'', 'png', 2, 3))
    files.write_whole(paths[0], b''.join(tfrecords.frame(records.serialize(record)) for record in told))
    found = beams.outputs(reading.ReadRecordTruths(paths, SKIP))
    assert [(truth.name, truth.official_id) for truth in found.results] == [('a', 7)]
    assert len(found.letters) == 2


def _truths(yard, spec):
    listed = sources.module(spec).list_images(str(yard.root), 'val', spec)
    return [pairs.from_entry(entry) for entry in listed]


def test_images_are_judged_one_by_one(yard, spec, judgement):
    truths = _truths(yard, spec)
    strange = pairs.Truth('strange', truths[0].panoptic)
    found = beams.outputs(counting.JudgeImages(judgement), [*truths, strange])
    assert [counted.panoptic.result().pq for counted in found.results] == [1, 1]
    assert _images(found.letters) == ['strange']


def test_figures_are_written_with_the_dead_letters(yard, spec, judgement, tmp_path):
    predictions = prediction_files.read(judgement.folder, spec)
    counted = functools.reduce(operator.add, (pairs.judge(one, predictions) for one in _truths(yard, spec)))
    letter = failures.DeadLetter('strange', 'is strange')
    beams.outputs(counting.WriteFigures(judgement), [counted], [letter])
    assert result_files.read(judgement.output, 'evaluate').pq.all == 100
    assert [one.image_id for one in result_files.read_images(judgement.output, 'evaluate')] == ['im1', 'im2']
    assert 'is strange' in (tmp_path / f'evaluation.json{failures.ENDING}').read_text()
