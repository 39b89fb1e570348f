# SPDX-License-Identifier: Apache-2.0
"""Imported encoders compute what their source computes: Keras' own networks, and a forward pass in numpy."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from foreign_files import write_pth, write_safetensors
from panpipe.model import checkpoints, importing
from panpipe.model.backbones import convnext, mobilenet_v3
from panpipe.model.foreign import conversion
from panpipe.model.layers import activations, normalization
from panpipe.model.storage import lock

_TINY = convnext.TINY
_NORM = normalization.BatchNorm()


def _image(side, seed=5):
    return np.random.default_rng(seed).uniform(0, 255, (1, side, side, 3)).astype(np.float32)


# ConvNeXt, in timm's names and PyTorch's order of axes


def _timm_weights(layout):
    random = np.random.default_rng(1)
    weights = {}

    def layer(name, *shape):
        weights[f'{name}.weight'] = random.normal(0, math.prod(shape[1:]) ** -0.5, shape)
        weights[f'{name}.bias'] = random.normal(0, 0.1, shape[:1])

    def norm(name, width):
        weights[f'{name}.weight'] = random.normal(1, 0.1, width)
        weights[f'{name}.bias'] = random.normal(0, 0.1, width)

    first = layout.channels[0]
    layer('stem.0', first, 3, 4, 4)
    norm('stem.1', first)
    for i, (width, count) in enumerate(zip(layout.channels, layout.num_blocks, strict=True)):
        if i:
            norm(f'stages.{i}.downsample.0', width // 2)
            layer(f'stages.{i}.downsample.1', width, width // 2, 2, 2)
        for j in range(count):
            block = f'stages.{i}.blocks.{j}'
            layer(f'{block}.conv_dw', width, 1, 7, 7)
            norm(f'{block}.norm', width)
            layer(f'{block}.mlp.fc1', 4 * width, width)
            layer(f'{block}.mlp.fc2', width, 4 * width)
            weights[f'{block}.gamma'] = random.normal(0.3, 0.05, width)
    weights['head.fc.weight'] = random.normal(size=(10, layout.channels[-1]))
    return {name: value.astype(np.float32) for name, value in weights.items()}


def _conv(x, kernel, bias, stride):
    """Convolves without padding; kernel [out, in, size, size]."""
    size = kernel.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (0, 1))[::stride, ::stride]
    return np.einsum('yxiab,oiab->yxo', windows, kernel, optimize=True) + bias


def _norm(x, weights, name):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    return x * weights[f'{name}.weight'] + weights[f'{name}.bias']


def _forward(weights, layout, image, border=None):
    """Computes the features of all stages.

    Args:
      weights: in timm's names.
      layout: of the network.
      image: [height, width, 3], as the source normalizes it.
      border: None for the source's padding, which is none; else DeepLab's, with this colour around the image.
    """

    def conv(x, name, stride):
        return _conv(x, weights[f'{name}.weight'], weights[f'{name}.bias'], stride)

    x = image
    if border is not None:
        x = np.pad(x - border, ((1, 2), (1, 2), (0, 0))) + border
    x = _norm(conv(x, 'stem.0', 4), weights, 'stem.1')
    features = [x]
    for i, count in enumerate(layout.num_blocks):
        if i:
            if border is not None:
                x = np.pad(x, ((0, 1), (0, 1), (0, 0)))
            x = conv(_norm(x, weights, f'stages.{i}.downsample.0'), f'stages.{i}.downsample.1', 2)
        for j in range(count):
            block = f'stages.{i}.blocks.{j}'
            y = np.pad(x, ((3, 3), (3, 3), (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(y, (7, 7), (0, 1))
            y = np.einsum('yxcab,cab->yxc', windows, weights[f'{block}.conv_dw.weight'][:, 0])
            y = _norm(y + weights[f'{block}.conv_dw.bias'], weights, f'{block}.norm')
            y = y @ weights[f'{block}.mlp.fc1.weight'].T + weights[f'{block}.mlp.fc1.bias']
            y = np.array(tf.nn.gelu(tf.constant(y, tf.float64)))
            y = y @ weights[f'{block}.mlp.fc2.weight'].T + weights[f'{block}.mlp.fc2.bias']
            x = x + weights[f'{block}.gamma'] * y
        features.append(x)
    return features


def _expected(weights, layout, image):
    mean, std = map(np.array, conversion.IMAGENET)
    # DeepLab pads with the middle of the colours.
    return _forward(weights, layout, (image[0] / 255.0 - mean) / std, (0.5 - mean) / std)


def _torchvision_names(weights):
    inner = {'conv_dw': 'block.0', 'norm': 'block.2', 'mlp.fc1': 'block.3', 'mlp.fc2': 'block.5'}
    renamed = {}
    for name, value in weights.items():
        parts = name.split('.')
        if parts[0] == 'stem':
            name = f'features.0.{parts[1]}.{parts[2]}'
        elif parts[0] == 'head':
            name = f'classifier.{".".join(parts[1:])}'
        elif parts[2] == 'downsample':
            name = f'features.{2 * int(parts[1])}.{parts[3]}.{parts[4]}'
        elif parts[-1] == 'gamma':
            name, value = f'features.{2 * int(parts[1]) + 1}.{parts[3]}.layer_scale', value[:, None, None]
        else:
            middle = inner['.'.join(parts[4:-1])]
            name = f'features.{2 * int(parts[1]) + 1}.{parts[3]}.{middle}.{parts[-1]}'
        renamed[name] = value
    return renamed


def _assert_close(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.squeeze(ours, 0), theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ('library', 'ending'),
    [('timm', 'safetensors'), pytest.param('torchvision', 'pth', marks=pytest.mark.slow)],
)
def test_convnext_of_pytorch(library, ending, tmp_path, monkeypatch):
    weights = _timm_weights(_TINY)
    named = weights if library == 'timm' else _torchvision_names(weights)
    path = tmp_path / f'tiny.{ending}'
    if ending == 'pth':
        write_pth(path, named, monkeypatch)
    else:
        write_safetensors(path, named)
    encoder = importing.adopt(str(path), library, 'convnext_tiny', conversion.IMAGENET)
    image = _image(65)
    _assert_close(encoder(image / 127.5 - 1), _expected(weights, _TINY, image))


@pytest.fixture(scope='module')
def keras_convnext():
    """Keras' own network with the weights of the numpy one, set layer by layer."""
    model = keras.applications.ConvNeXtTiny(weights=None, include_top=False, input_shape=(64, 64, 3))
    weights = _timm_weights(_TINY)

    def put(layer, name, *kinds):
        values = [weights[f'{name}.{kind}'] for kind in kinds]
        values = [v.transpose(2, 3, 1, 0) if v.ndim == 4 else v.T for v in values]
        layer.set_weights(values)

    stem = model.get_layer('convnext_tiny_stem')
    put(stem.layers[0], 'stem.0', 'weight', 'bias')
    put(stem.layers[1], 'stem.1', 'weight', 'bias')
    for i, count in enumerate(_TINY.num_blocks):
        if i:
            reduction = model.get_layer(f'convnext_tiny_downsampling_block_{i - 1}')
            put(reduction.layers[0], f'stages.{i}.downsample.0', 'weight', 'bias')
            put(reduction.layers[1], f'stages.{i}.downsample.1', 'weight', 'bias')
        for j in range(count):
            ours, block = f'convnext_tiny_stage_{i}_block_{j}', f'stages.{i}.blocks.{j}'
            for theirs, name in (
                ('depthwise_conv', 'conv_dw'),
                ('layernorm', 'norm'),
                ('pointwise_conv_1', 'mlp.fc1'),
                ('pointwise_conv_2', 'mlp.fc2'),
            ):
                put(model.get_layer(f'{ours}_{theirs}'), f'{block}.{name}', 'weight', 'bias')
            put(model.get_layer(f'{ours}_layer_scale'), block, 'gamma')
    return model, weights


@pytest.mark.slow
def test_the_forward_pass_in_numpy_is_that_of_keras(keras_convnext):
    model, weights = keras_convnext
    image = _image(64)
    mean, std = map(np.array, conversion.IMAGENET)
    expected = _forward(weights, _TINY, (image[0] / 255.0 - mean) / std)[-1]
    found = np.array(model(image))[0]
    # The model ends with one more normalization.
    norm = {'x.weight': np.ones(768), 'x.bias': np.zeros(768)}
    if not np.allclose(found, expected, atol=1e-3):
        expected = _norm(expected, norm, 'x')
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize('ending', ['keras', 'h5'])
def test_convnext_of_keras(keras_convnext, ending, tmp_path):
    model, weights = keras_convnext
    path = str(tmp_path / f'tiny.{ending}')
    model.save(path)
    encoder = importing.adopt(path, 'keras', 'convnext_tiny', conversion.IMAGENET)
    image = _image(65)
    _assert_close(encoder(image / 127.5 - 1), _expected(weights, _TINY, image))


# MobileNetV3


@pytest.fixture(scope='module')
def keras_mobilenet():
    """Keras' own network with drawn weights and moving statistics."""
    model = keras.applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(65, 65, 3))
    random = np.random.default_rng(3)
    for variable in model.weights:
        if variable.path.endswith('variance'):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif variable.path.endswith('kernel'):
            variable.assign(random.normal(0, np.prod(variable.shape[:-1]) ** -0.5, variable.shape))
            if 'depthwise' in variable.path:
                variable.assign(random.normal(0, 0.3, variable.shape))
        else:
            variable.assign(random.normal(variable.path.endswith('gamma'), 0.1, variable.shape))
    return model


def _read(encoder):
    """The encoder's weights in a network that has the sources' gate, which is theirs alone."""
    made = mobilenet_v3.MobileNetV3(mobilenet_v3.SMALL, _NORM, gate=activations.exact_hard_sigmoid)
    made(tf.zeros((1, 33, 33, 3)))
    for variable, value in zip(made.weights, encoder.weights, strict=True):
        variable.assign(value)
    return made


def _torch_mobilenet(model, library):
    """Keras' weights as the other libraries call and turn them, spelt out layer by layer."""
    weights = {}

    def conv(name, layer):
        kernel, *bias = layer.get_weights()
        is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        weights[f'{name}.weight'] = (
            kernel.transpose(2, 3, 0, 1) if is_depthwise else kernel.transpose(3, 2, 0, 1)
        )
        if bias:
            weights[f'{name}.bias'] = bias[0]

    def norm(name, layer):
        kinds = ('weight', 'bias', 'running_mean', 'running_var')
        weights.update({f'{name}.{k}': v for k, v in zip(kinds, layer.get_weights(), strict=True)})
        weights[f'{name}.num_batches_tracked'] = np.float32(1).reshape(())

    is_timm = library == 'timm'
    conv('conv_stem' if is_timm else 'features.0.0', model.get_layer('conv'))
    norm('bn1' if is_timm else 'features.0.1', model.get_layer('conv_bn'))
    # Stage and place in it, in the order of the paper's table.
    stages = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (4, 0), (4, 1), (4, 2)]
    for number, (stage, place) in enumerate(stages):
        keras_name = 'expanded_conv' if number == 0 else f'expanded_conv_{number}'
        theirs = f'blocks.{stage}.{place}' if is_timm else f'features.{number + 1}.block'
        has_expand, has_se = number > 0, number not in (1, 2)
        kinds = [*(['expand'] if has_expand else []), 'depthwise', *(['se'] if has_se else []), 'project']
        timm_convs = ['conv_pw', 'conv_dw', 'conv_pwl'] if has_expand else ['conv_dw', 'conv_pw']
        unit = 0
        for index, kind in enumerate(kinds):
            if kind == 'se':
                names = ('se.conv_reduce', 'se.conv_expand') if is_timm else (f'{index}.fc1', f'{index}.fc2')
                for name, ending in zip(names, ('', '_1'), strict=True):
                    conv(f'{theirs}.{name}', model.get_layer(f'{keras_name}_squeeze_excite_conv{ending}'))
                continue
            conv(
                f'{theirs}.{timm_convs[unit] if is_timm else f"{index}.0"}',
                model.get_layer(f'{keras_name}_{kind}'),
            )
            unit += 1
            norm(
                f'{theirs}.{f"bn{unit}" if is_timm else f"{index}.1"}',
                model.get_layer(f'{keras_name}_{kind}_bn'),
            )
    conv('blocks.5.0.conv' if is_timm else 'features.12.0', model.get_layer('conv_1'))
    norm('blocks.5.0.bn1' if is_timm else 'features.12.1', model.get_layer('conv_1_bn'))
    return weights


@pytest.mark.parametrize('ending', [pytest.param('keras', marks=pytest.mark.slow), 'h5'])
def test_mobilenet_of_keras(keras_mobilenet, ending, tmp_path):
    path = str(tmp_path / f'small.{ending}')
    keras_mobilenet.save(path)
    encoder = _read(importing.adopt(path, 'keras', 'mobilenet_v3_small', conversion.OURS))
    image = _image(65)
    expected = np.array(keras_mobilenet(image))
    found = np.array(encoder(image / 127.5 - 1).res5)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(('library', 'epsilon'), [('timm', 1e-5), ('torchvision', 1e-3)])
def test_mobilenet_of_pytorch(keras_mobilenet, library, epsilon, tmp_path):
    path = tmp_path / 'small.safetensors'
    write_safetensors(path, _torch_mobilenet(keras_mobilenet, library))
    # Of the images' normalization `test_the_input_is_folded` speaks.
    encoder = _read(importing.adopt(str(path), library, 'mobilenet_v3_small', conversion.OURS))
    norms = [layer for layer in keras_mobilenet.layers if isinstance(layer, keras.layers.BatchNormalization)]
    image = _image(65)
    for layer in norms:
        layer.epsilon = epsilon
    expected = np.array(keras_mobilenet(image))
    for layer in norms:
        layer.epsilon = 1e-3
    found = np.array(encoder(image / 127.5 - 1).res5)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


# Parts


@pytest.mark.parametrize('shift', ['x/bias', 'x/moving_mean'])
def test_the_input_is_folded(shift):
    """On images that the source would see padded with the middle of the colours, as DeepLab pads."""
    random = np.random.default_rng(0)
    kernel, constant = random.normal(size=(3, 3, 3, 4)), random.normal(size=4)
    weights = {'x/kernel': kernel.astype(np.float32), shift: constant.astype(np.float32)}
    conversion.fold_input(weights, 'x/kernel', shift, conversion.IMAGENET)
    image = random.uniform(0, 1, (1, 5, 5, 3))
    mean, std = map(np.array, conversion.IMAGENET)
    before = tf.nn.conv2d((image - mean) / std, kernel, 1, 'VALID')
    after = tf.nn.conv2d(2 * image - 1, weights['x/kernel'].astype(np.float64), 1, 'VALID')
    sign = 1 if shift == 'x/bias' else -1
    np.testing.assert_allclose(after + sign * weights[shift], before + sign * constant, atol=1e-5)


# The command


def _run(*arguments):
    return importing.main([*map(str, arguments)])


def test_the_command_writes_a_checkpoint_that_training_reads(keras_mobilenet, tmp_path, capsys):
    keras_mobilenet.save(tmp_path / 'a.keras')
    output = tmp_path / 'weights/small'
    name = 'mobilenet_v3_small'
    arguments = [tmp_path / 'a.keras', '--from', 'keras', '--to', name, '--output', output]
    with lock.held(lock.beside(output), 'other'):
        assert _run(*arguments) == 2
    assert not output.parent.exists()
    assert _run(*arguments) == 0
    assert f'initial_checkpoint: "{output}"' in capsys.readouterr().out
    names = tf.train.load_checkpoint(str(output)).get_variable_to_shape_map()
    made = mobilenet_v3.MobileNetV3(mobilenet_v3.SMALL, _NORM)
    made(tf.zeros((1, 33, 33, 3)))
    wanted = {f'{checkpoints.path_key(v.path)}/.ATTRIBUTES/VARIABLE_VALUE' for v in made.weights}
    assert wanted == {name for name in names if name.startswith('encoder/')}


def test_mistakes_are_told_in_a_line(tmp_path, capsys):
    path = tmp_path / 'a.safetensors'
    write_safetensors(path, {'stem.0.weight': np.zeros((96, 3, 4, 4), np.float32)})
    rest = ('--output', tmp_path / 'x')
    assert _run(path, '--from', 'timm', '--to', 'convnext_tiny', *rest) == 2
    assert "has no weight 'stem.0.bias'; say with --from" in capsys.readouterr().err
    assert _run(path, '--from', 'timm', '--to', 'resnet50', *rest) == 2
    assert 'cannot be taken over exactly' in capsys.readouterr().err
    assert not (tmp_path / 'x.index').exists()


def test_weights_of_another_width_are_refused():
    with pytest.raises(Exception, match=r'a is \[3, 4\] in the file and \[4, 4\] here'):
        conversion.fit(np.zeros((4, 3)), (4, 4), True, 'a')
