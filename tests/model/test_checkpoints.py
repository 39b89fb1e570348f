# SPDX-License-Identifier: Apache-2.0
"""Checkpoints have DeepLab2's names, round trips lose nothing, and misfits are told."""

import dataclasses
import pathlib
import tarfile
import zlib

import numpy as np
import pytest
import tensorflow as tf

import experiments
import shared
from panpipe.model import build, checkpoints, config, errors

_ROOT = pathlib.Path(__file__).parents[2]
_SUFFIX = '/.ATTRIBUTES/VARIABLE_VALUE'


def _network():
    return build.network(experiments.load('unused'))


@pytest.fixture(scope='module')
def network():
    return _network()


@pytest.fixture(scope='module')
def saved(network, tmp_path_factory):
    """A checkpoint of the network at step 7, written as training does."""
    prefix = str(tmp_path_factory.mktemp('run') / 'ckpt')
    step = tf.Variable(7, dtype=tf.int64)
    return tf.train.Checkpoint(**checkpoints.tree(network), global_step=step).save(prefix)


def _values(network):
    return {checkpoints.key(v): np.array(v) for v in network.weights}


def test_names_and_shapes_are_those_of_the_reference(network, saved):
    listing = shared.golden('checkpoints') / 'mobilenet_v3_small_os32/checkpoint_variables.txt'
    rows = [line.split('\t')[:2] for line in listing.read_text().splitlines()]
    wanted = {name: shape for name, shape in rows if '/' in name}
    found = tf.train.load_checkpoint(saved).get_variable_to_shape_map()
    # The saver's own counter is in no released checkpoint's way.
    wanted[f'save_counter{_SUFFIX}'] = '[]'
    assert {name: str(shape) for name, shape in found.items() if '/' in name} == wanted


def test_names_hold_in_a_checkpoint_of_the_reference_trainer(network):
    listing = shared.golden('checkpoints') / 'trainer_mobilenet_v3_small_os32/checkpoint_variables.txt'
    names = {line.split('\t')[0] for line in listing.read_text().splitlines()}
    assert {checkpoints.key(v) + _SUFFIX for v in network.weights} <= names


def test_a_round_trip_restores_every_value(network, saved):
    other = _network()
    report = checkpoints.restore(other, saved)
    assert set(report.loaded) == set(_values(network))
    assert report.skipped == report.missing == ()
    restored = _values(other)
    for name, value in _values(network).items():
        np.testing.assert_array_equal(restored[name], value)


def test_a_folder_means_its_newest_checkpoint(network, saved):
    folder = pathlib.Path(saved).parent
    assert len(checkpoints.restore(network, folder).loaded) == len(network.weights)
    assert checkpoints.global_step(folder) == 7


def test_skipped_parts_keep_their_values(network, saved):
    other = _network()
    before = _values(other)
    report = checkpoints.restore(other, saved, skip=['semantic_last_layer'])
    assert report.skipped == ('semantic_last_layer/kernel', 'semantic_last_layer/bias')
    after = _values(other)
    for name in report.skipped:
        np.testing.assert_array_equal(after[name], before[name])


def test_the_report_counts_by_part():
    report = checkpoints.Report(('encoder/a', 'encoder/b'), ('last/kernel',), (), ('encoder/d', 'other/e'))
    lines = report.table().splitlines()
    assert [line.split() for line in lines[:4]] == [
        ['loaded', 'skipped', 'missing', 'unread'],
        ['encoder', '2', '0', '0', '1'],
        ['last', '0', '1', '0', '0'],
        ['other', '0', '0', '0', '1'],
    ]
    # Why, but only of what there is.
    assert [line.split(':')[0] for line in lines[4:]] == ['skipped', 'unread']


def test_what_a_network_does_not_have_is_unread(network, tmp_path):
    """Such as the stacked decoder of DeepLab2's max_deeplab_l_backbone; the optimizer is another thing."""
    parts = checkpoints.tree(network)
    parts['encoder']._decoder = tf.Module()
    parts['encoder']._decoder.kernel = tf.Variable(1.0)
    optimizer = tf.train.Checkpoint(iter=tf.Variable(3))
    prefix = tf.train.Checkpoint(**parts, optimizer=optimizer, global_step=tf.Variable(1)).save(
        tmp_path / 'a'
    )
    report = checkpoints.restore(network, prefix)
    assert report.unread == ('encoder/_decoder/kernel',)
    assert len(report.loaded) == len(network.weights)
    assert (
        checkpoints.restore(network, prefix)
        .table()
        .endswith('unread: in the checkpoint, but not of this network')
    )


@pytest.mark.parametrize('root', ['encoder', 'backbone'])
def test_an_encoder_alone_is_enough(network, tmp_path, root):
    """ImageNet checkpoints hold an encoder, under one of two roots, and no step."""
    encoder = checkpoints.tree(network)['encoder']
    item = tf.Module()
    item._encoder = encoder
    items = {'encoder': encoder} if root == 'encoder' else {'backbone': item}
    path = tf.train.Checkpoint(**items).write(str(tmp_path / 'imagenet'))
    other = _network()
    report = checkpoints.restore(other, path)
    assert {name.split('/')[0] for name in report.loaded} == {'encoder'}
    assert 'encoder' not in {name.split('/')[0] for name in report.missing}
    assert checkpoints.global_step(path) == 0
    name = 'encoder/_blocks/12/_conv/kernel'
    np.testing.assert_array_equal(_values(other)[name], _values(network)[name])


def test_other_classes_tell_both_shapes_and_the_cure(saved):
    head = config.HeadOptions(7, 256)
    experiment = experiments.load('unused')
    panoptic = dataclasses.replace(experiment.model_options.panoptic_deeplab, semantic_head=head)
    model = dataclasses.replace(experiment.model_options, panoptic_deeplab=panoptic)
    other = build.network(dataclasses.replace(experiment, model_options=model))
    before = _values(other)
    with pytest.raises(errors.InputError) as caught:
        checkpoints.restore(other, saved)
    message = str(caught.value)
    for part in ('semantic_last_layer/kernel', '[1, 1, 256, 7]', '[1, 1, 256, 19]'):
        assert part in message
    assert 'restore_semantic_last_layer_from_initial_checkpoint: false' in message
    assert all(np.array_equal(value, before[name]) for name, value in _values(other).items())


def test_nothing_that_fits(network, tmp_path):
    path = tf.train.Checkpoint(other=tf.Variable(1.0)).write(str(tmp_path / 'other'))
    with pytest.raises(errors.InputError, match='no variable of this network'):
        checkpoints.restore(network, path)


@pytest.mark.parametrize('name', ['absent', 'ckpt-7.index', ''])
def test_no_checkpoint(network, tmp_path, name):
    with pytest.raises(errors.InputError, match='no checkpoint'):
        checkpoints.restore(network, tmp_path / name)


def test_a_damaged_checkpoint(network, tmp_path):
    (tmp_path / 'ckpt-1.index').write_bytes(b'not an index')
    with pytest.raises(errors.InputError, match='cannot read the checkpoint'):
        checkpoints.restore(network, tmp_path / 'ckpt-1')


def test_reports_are_values():
    report = checkpoints.Report((), (), ())
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.loaded = ('x',)


# Mask transformers


@pytest.fixture(scope='module')
def masks():
    """A small mask transformer on ConvNeXt."""
    text = """
    model_options {
      backbone { name: "kmax_convnext_tiny" }
      max_deeplab {
        pixel_space_head { output_channels: 8 head_channels: 8 }
        auxiliary_semantic_head { output_channels: 19 head_channels: 8 }
        num_mask_slots: 5
        pixel_decoder_levels: 4
      }
    }
    train_dataset_options { dataset: "cityscapes_panoptic" crop_size: [33, 33] }
    """
    return build.network(config.loads(text))


@pytest.mark.slow
def test_keras_weights_of_an_encoder_alone_fill_the_encoder(masks, tmp_path):
    """What DeepLab2 calls pretrained weights: names without the encoder's own."""
    encoder = {name: value for name, value in _values(masks).items() if name.startswith('encoder/')}
    bare = {name.removeprefix('encoder/'): tf.Variable(value + 1) for name, value in encoder.items()}
    path = tf.train.Checkpoint(**checkpoints.grown(bare)).write(str(tmp_path / 'convnext'))
    before = _values(masks)
    report = checkpoints.restore(masks, path)
    assert set(report.loaded) == set(encoder)
    assert not report.unread
    after = _values(masks)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value + (name in encoder), err_msg=name)


@pytest.mark.slow
def test_class_heads_of_all_layers_can_be_left_alone(masks, tmp_path):
    path = tf.train.Checkpoint(**checkpoints.tree(masks)).write(str(tmp_path / 'ckpt'))
    report = checkpoints.restore(masks, path, skip=['transformer_class_head'])
    assert len(report.skipped) == 7 * 2
    assert not report.missing
    assert not report.unread


def test_a_training_checkpoint_of_the_reference_has_every_variable_and_no_other():
    """With the slots of two optimizers, which are not of the network."""
    listing = shared.golden('kmax') / 'variables/coco_resnet50.training_checkpoint.txt'
    names = {line.split('\t')[0].removesuffix(_SUFFIX) for line in listing.read_text().splitlines()}
    wanted = {name for name in names if checkpoints.is_of_a_network(name)}
    rows = (shared.golden('kmax') / 'variables/coco_resnet50.txt').read_text().splitlines()
    assert wanted == {row.split('\t')[0] for row in rows}


@pytest.mark.slow
def test_a_whole_checkpoint_of_the_reference_is_read(tmp_path, monkeypatch):
    with tarfile.open(shared.golden('kmax') / 'checkpoint/coco_resnet50.tar.xz') as archive:
        archive.extractall(tmp_path, filter='data')
    (index,) = tmp_path.rglob('*.index')
    for variable in ('EXPERIMENT_NAME', 'INIT_CHECKPOINT', 'TRAIN_SET', 'VAL_SET'):
        monkeypatch.setenv(variable, 'unused')
    network = build.network(
        config.load(_ROOT / 'model/configs/coco/kmax_deeplab/kmax_meta_r50_os32.textproto')
    )
    report = checkpoints.restore(network, index.with_suffix(''))
    assert len(report.loaded) == len(network.weights) == 1184
    assert not report.unread
    assert checkpoints.global_step(index.with_suffix('')) == 150000
    for name, value in _values(network).items():
        places = np.arange(value.size) % 8
        expected = ((zlib.crc32(name.encode()) % 1000 + places) / 1024).astype(np.float32)
        np.testing.assert_array_equal(value.ravel(), expected, err_msg=name)
