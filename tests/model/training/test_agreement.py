# SPDX-License-Identifier: Apache-2.0
"""What needs no other worker; the rest is in test_workers.py."""

import numpy as np
import pytest
import tensorflow as tf

from panpipe.model import datasets, errors
from panpipe.model.jobs import workers
from panpipe.model.training import agreement, run_folder

_CLUSTER = workers.Cluster(('a:1', 'b:2'), 1)


def test_a_missing_worker_is_one_line():
    with pytest.raises(errors.JobError) as caught, agreement.missing_told(_CLUSTER):
        raise tf.errors.UnavailableError(None, None, 'Socket closed\nAdditional GRPC error information: …')
    assert str(caught.value) == (
        'worker 1 of 2 (b:2) lost another worker (Socket closed); start all workers again: they go on from '
        'the newest checkpoint'
    )


@pytest.mark.parametrize(
    ('cluster', 'error'), [(None, tf.errors.UnavailableError), (_CLUSTER, tf.errors.DataLossError)]
)
def test_other_failures_stay_what_they_are(cluster, error):
    with pytest.raises(error), agreement.missing_told(cluster):
        raise error(None, None, 'x')


def test_an_onlooker_finds_and_keeps_nothing(tmp_path):
    run_folder.RunDirectory(str(tmp_path), 'run').keep_dataset(datasets.find('cityscapes_panoptic'))
    before = sorted(tmp_path.rglob('*'))
    onlooker = run_folder.Onlooker(str(tmp_path), 'run')
    onlooker.keep_dataset(datasets.find('coco_panoptic'))
    onlooker.scalars('train', {'losses/train_total_loss': 1.0}, 1)
    onlooker.pictures('train', {'x': np.zeros((2, 2, 3), np.uint8)}, 1)
    for manager in (onlooker.manager, onlooker.best_manager):
        manager(tf.train.Checkpoint()).save(checkpoint_number=1)
    assert onlooker.latest is None
    assert onlooker.read_result(run_folder.BEST) is None
    assert sorted(tmp_path.rglob('*')) == before
