# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

from panpipe.model import config

COMMAND = [sys.executable, '-m', 'panpipe.model.probe']


def _probe(text):
    return json.loads(subprocess.run(COMMAND, input=text, capture_output=True, text=True, check=True).stdout)


def test_without_an_experiment_no_network_is_built():
    told = _probe('')
    assert told['parameters'] == 0
    assert not told['mistake']


def test_an_unknown_backbone_is_told():
    text = config.dumps(
        config.loads(
            'model_options { panoptic_deeplab {} backbone { name: "resnet5" output_stride: 32 } } '
            'train_dataset_options { crop_size: 65 crop_size: 65 }'
        )
    )
    assert "'resnet5'" in _probe(text)['mistake']
