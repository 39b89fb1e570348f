# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

import experiments
from panpipe.model import config

COMMAND = [sys.executable, '-m', 'panpipe.model.probe']


def _probe(text):
    return json.loads(subprocess.run(COMMAND, input=text, capture_output=True, text=True, check=True).stdout)


def test_without_an_experiment_no_network_is_built():
    told = _probe('')
    assert told['parameters'] == 0
    assert not told['mistake']


def test_an_unknown_backbone_is_told():
    experiment = experiments.load('nowhere', 4, 'model_options.backbone.name=resnet5')
    assert "'resnet5'" in _probe(config.dumps(experiment))['mistake']
