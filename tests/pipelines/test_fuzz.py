# SPDX-License-Identifier: Apache-2.0
"""Small sets spoilt at random: every reader ends well, or with an errors.InputError in one line.

Each mutation is told by its number, so that a failure can be had again.
"""

import shutil

import numpy as np
import pytest

import spoiling
import synthetic
import yards
from panpipe.model import datasets, errors
from panpipe.model.inputs import records
from panpipe.pipelines import validate
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.scoring import instance_ap, joined, own_score, panoptic_files, truths

MUTATIONS = 2000


def _read_all(root, spec):
    """Does what convert and evaluate do of each image."""
    for record in synthetic.raw_records(root, spec).values():
        records.parse(records.serialize(record))


def _check_predictions(root, spec):
    found = prediction_files.read(str(root / 'predictions'), spec)
    for name in found.names:
        found.panoptic(name)


def _validate(root, spec):
    validate.check(str(root / 'predictions'), spec, None)


def _score(root, spec):
    """Does what score does besides calling the evaluator of panoptic files, a program of its own."""
    del spec
    truth = truths.coco(root, 'val', root)[0]
    found = prediction_files.open_folder(str(root / 'predictions'), 'coco', truth.classes)
    pairs = joined.pairs(truth, found, set())
    own_score.count(truth, found, pairs)
    scratch = root / 'scratch'
    scratch.mkdir()
    true = [(truth.png(pair.truth), pair.truth) for pair in pairs]
    panoptic_files.export(true, truth.categories, scratch / 'truth', numbered=True)
    ids = {found.annotation(pair.name).image_id: pair.truth for pair in pairs}
    instance_ap.coco(root / 'predictions', root, 'val', truth, ids)


_WAYS = (_read_all, _check_predictions, _validate, _score)


@pytest.fixture(scope='module')
def sound(tmp_path_factory):
    """Makes a yard with instances, and its ground truth as a prediction."""
    root = tmp_path_factory.mktemp('sound') / 'yard'
    yard = yards.Yard(root).add_instances()
    spec = datasets.find(str(yard.dataset))
    found = synthetic.raw_records(root, spec)
    synthetic.write_predictions(
        root / 'predictions',
        {name: record.panoptic for name, record in found.items()},
        spec,
        ids={name: record.official_id for name, record in found.items()},
    )
    return root


def _run(sound, root, number):
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(sound, root)
    spec = datasets.find(str(root / 'yard.json'))
    spoiling.folder(np.random.default_rng(number), root)
    refusals = 0
    for way in (lambda *_: datasets.find(str(root / 'yard.json')), *_WAYS):
        try:
            way(root, spec)
        except errors.InputError:
            refusals += 1
    return refusals


def test_sound_data_pass(sound, tmp_path):
    spec = datasets.find(str(sound / 'yard.json'))
    root = tmp_path / 'yard'
    shutil.copytree(sound, root)
    for way in _WAYS:
        way(root, spec)


def test_a_few_mutations_end_well(sound, tmp_path):
    assert sum(_run(sound, tmp_path / 'yard', number) > 0 for number in range(40)) > 10


@pytest.mark.slow
def test_mutations_end_well(sound, tmp_path):
    refused = sum(_run(sound, tmp_path / 'yard', number) > 0 for number in range(MUTATIONS))
    assert MUTATIONS / 4 < refused < MUTATIONS
