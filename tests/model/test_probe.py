# SPDX-License-Identifier: Apache-2.0
"""What a process finds that starts TensorFlow; the tests of `panpipe doctor` start one."""

import pytest
import tensorflow as tf

import experiments
from panpipe.model import config, probe


@pytest.fixture(autouse=True)
def _devices_stay(monkeypatch):
    monkeypatch.setattr(tf.config, 'set_visible_devices', lambda *_: None)


def test_without_an_experiment_no_network_is_built():
    found = probe.probe('')
    assert found.parameters == 0
    assert not found.mistake


def test_an_unknown_backbone_is_told():
    experiment = experiments.load('nowhere', 4, 'model_options.backbone.name=resnet5')
    assert "'resnet5'" in probe.probe(config.dumps(experiment)).mistake
