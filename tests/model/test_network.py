# SPDX-License-Identifier: Apache-2.0
import pytest

from panpipe.model import build, config, network
from panpipe.model.errors import InputError

RESNET = 'model/configs/cityscapes/panoptic_deeplab/resnet50_os32_merge_with_pure_tf_func.textproto'


def _variables(made):
    return [(variable.path, tuple(variable.shape)) for variable in made.variables]


@pytest.mark.slow
def test_numbers_make_the_network_of_the_published_configuration(monkeypatch):
    for name in ('EXPERIMENT_NAME', 'INIT_CHECKPOINT', 'TRAIN_SET', 'VAL_SET'):
        monkeypatch.setenv(name, 'x')
    assert _variables(network.panoptic_deeplab(19)) == _variables(build.network(config.load(RESNET)))


def test_a_small_network_without_instances():
    options = {'backbone': 'mobilenet_v3_small', 'use_squeeze_and_excite': True, 'crop_size': (65, 65)}
    made = network.panoptic_deeplab(3, has_instances=False, **options)
    assert made.semantic.last.kernel.shape[-1] == 3
    assert made.instance is None


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'backbone': 'resnet5'}, "'resnet5'; it is one of"),
        ({'output_stride': 12}, 'output_stride is 12'),
        ({'crop_size': (64, 64)}, 'crop_size is 64x64'),
    ],
)
def test_wrong_numbers_are_told(options, words):
    with pytest.raises(InputError, match=words):
        network.panoptic_deeplab(3, **options)
