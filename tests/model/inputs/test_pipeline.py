# SPDX-License-Identifier: Apache-2.0
"""From record files to batches: contents, order, repetition, and what a user may get wrong."""

import io
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from panpipe.custom_ops import library
from panpipe.model import config, datasets, errors, tensors
from panpipe.model.inputs import pipeline, reading, records, resize, targets
from panpipe.model.storage import manifest

HEIGHT, WIDTH = 17, 33
LABELS = datasets.find('cityscapes_panoptic').labels
AUGMENTED = 'augmentations { min_scale_factor: 0.5 max_scale_factor: 2.0 scale_factor_step_size: 0.1 }'


def _panoptic(number: int) -> np.ndarray:
    panoptic = np.zeros((HEIGHT, WIDTH), np.int32)
    panoptic[:5] = 10000
    panoptic[3:9, number : number + 7] = 13001
    panoptic[12:, 2:6] = 255000
    return panoptic


def _pixels(number: int) -> np.ndarray:
    pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    pixels[..., 0] = number  # tells which image a sample comes from
    return pixels


def _record(number: int, with_labels: bool = True) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(_pixels(number)).save(stream, 'PNG')
    label = _panoptic(number) if with_labels else None
    record = records.Record(f'image_{number}', stream.getvalue(), 'png', HEIGHT, WIDTH, label)
    return records.serialize(record, records.LABEL_FORMATS[number % 2])


def _write(path: pathlib.Path, numbers: list[int], with_labels: bool = True) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in numbers:
            writer.write(_record(number, with_labels))


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp('records')
    for shard, numbers in enumerate(([0, 1, 2, 3], [4, 5, 6], [], [7, 8, 9])):
        _write(folder / f'train-{shard:05d}-of-00004.tfrecord', numbers)
    return folder


def _experiment(
    pattern: Any, extra: str = '', crop: tuple[int, int] = (HEIGHT, WIDTH), dataset: str = 'cityscapes'
) -> config.Experiment:
    options = (
        f'dataset: "{dataset}_panoptic" file_pattern: "{pattern}" batch_size: 1 '
        f'crop_size: {crop[0]} crop_size: {crop[1]} {extra}'
    )
    return config.loads(f'train_dataset_options {{ {options} }} eval_dataset_options {{ {options} }}')


def _classes_only(experiment: config.Experiment) -> config.Experiment:
    return config.loads(
        config.dumps(experiment) + 'model_options { panoptic_deeplab { instance { enable: false } } }'
    )


def _train(experiment: config.Experiment, count: int, **arguments: Any) -> list[Any]:
    return list(pipeline.training_samples(experiment, **arguments).take(count).as_numpy_iterator())


def _numbers(batches: list[Any]) -> list[int]:
    return [int(number) for image, _ in batches for number in image[:, 0, 0, 0]]


def _assert_same(first: list[Any], second: list[Any]) -> None:
    assert len(first) == len(second)
    for mine, theirs in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
        np.testing.assert_array_equal(mine, theirs, strict=True)


def test_shapes_are_static(folder: pathlib.Path) -> None:
    dataset = pipeline.training_samples(_experiment(folder / '*', AUGMENTED, (9, 21)), batch_size=3)
    image, target = dataset.element_spec
    assert image == tf.TensorSpec((3, 9, 21, 3), tf.float32)
    plane = tf.TensorSpec((3, 9, 21), tf.float32)
    semantic = tf.TensorSpec((3, 9, 21), tf.int32)
    offset = tf.TensorSpec((3, 9, 21, 2), tf.float32)
    assert target == tensors.Targets(semantic, plane, plane, plane, offset, plane)


def test_an_unscaled_sample_is_the_image_or_its_mirror_image(folder: pathlib.Path) -> None:
    flips = set()
    for image, target in _train(_experiment(folder / '*'), 12, seed=0):
        number = int(image[0, 0, 0, 0])
        is_flipped = not np.array_equal(image[0], _pixels(number))
        step = -1 if is_flipped else 1
        np.testing.assert_array_equal(image[0], _pixels(number)[:, ::step].astype(np.float32), strict=True)
        expected = targets.targets(np.ascontiguousarray(_panoptic(number)[:, ::step]), LABELS)
        _assert_same([tf.nest.map_structure(lambda x: x[0], target)], [[x.numpy() for x in expected]])
        flips.add(is_flipped)
    assert flips == {False, True}


def test_image_and_targets_stay_together_under_augmentation(folder: pathlib.Path) -> None:
    padded = 0
    for image, target in _train(_experiment(folder / '*', AUGMENTED, (25, 41)), 30, seed=1):
        is_padding = (image[0] == resize.IMAGE_PADDING).all(-1)
        assert (target.semantic[0][is_padding] == LABELS.ignore_label).all()
        assert (target.center_weight[0] == (target.semantic[0] != LABELS.ignore_label)).all()
        padded += is_padding.any()
    assert 0 < padded < 30


@pytest.mark.parametrize('batch_size', [1, 3])
def test_without_the_compiled_ops_samples_are_the_same(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    experiment = _experiment(folder / '*', AUGMENTED, (25, 41))
    with_ops = pipeline.training_samples(experiment, batch_size=batch_size, seed=4)
    expected = list(with_ops.take(3).as_numpy_iterator())
    monkeypatch.setattr(library, 'load', lambda: None)
    without = pipeline.training_samples(experiment, batch_size=batch_size, seed=4)
    assert without.element_spec == with_ops.element_spec
    _assert_same(list(without.take(3).as_numpy_iterator()), expected)


def test_every_record_comes_once_an_epoch(folder: pathlib.Path) -> None:
    for seed in (None, 5):
        numbers = _numbers(_train(_experiment(folder / '*'), 30, seed=seed))
        epochs = [numbers[:10], numbers[10:20], numbers[20:]]
        assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
        assert epochs[0] != epochs[1] != epochs[2]


def test_a_seed_decides_everything(folder: pathlib.Path) -> None:
    experiment = _experiment(folder / '*', AUGMENTED)
    first = _train(experiment, 12, seed=3, batch_size=2)
    tf.random.set_seed(99)
    _assert_same(first, _train(experiment, 12, seed=3, batch_size=2))
    assert _numbers(first) != _numbers(_train(experiment, 12, seed=4, batch_size=2))
    without = [_train(experiment, 12, batch_size=2) for _ in range(2)]
    assert not np.array_equal(without[0][0][0], without[1][0][0])


def test_shares_of_workers_are_the_batches_of_one_process(folder: pathlib.Path) -> None:
    """Whatever their number: each part of a batch goes to the worker whose place it has."""
    experiment = _experiment(folder / '*', AUGMENTED, (9, 21))
    whole = _train(experiment, 3, seed=3, batch_size=6, start=6)
    for count in (2, 3):
        parts = [
            _train(
                experiment, 3, seed=3, batch_size=6 // count, start=6, share=reading.Share(index, count, 6)
            )
            for index in range(count)
        ]
        for number, batch in enumerate(whole):
            together = [tf.nest.flatten(part[number]) for part in parts]
            joined = [np.concatenate(each) for each in zip(*together, strict=True)]
            _assert_same(joined, tf.nest.flatten(batch))


def test_batches_hold_what_single_samples_do(folder: pathlib.Path) -> None:
    experiment = _experiment(folder / '*', AUGMENTED)
    singles = _train(experiment, 6, seed=3)
    batches = _train(experiment, 2, seed=3, batch_size=3)
    joined = [tf.nest.map_structure(lambda *each: np.concatenate(each), *singles[i : i + 3]) for i in (0, 3)]
    _assert_same(batches, joined)


@pytest.mark.parametrize('start', [2, 10, 24])
def test_goes_on_where_it_stopped(folder: pathlib.Path, start: int) -> None:
    experiment = _experiment(folder / '*', AUGMENTED)
    whole = _train(experiment, 15, seed=3, batch_size=2)
    _assert_same(whole[start // 2 :], _train(experiment, 15 - start // 2, seed=3, batch_size=2, start=start))


def test_one_record_drawn_twice_is_augmented_anew(tmp_path: pathlib.Path) -> None:
    _write(tmp_path / 'one.tfrecord', [1])
    images = [image for image, _ in _train(_experiment(tmp_path / '*', AUGMENTED, (9, 9)), 6, seed=0)]
    assert len({image.tobytes() for image in images}) == 6


def test_resizes_before_augmentation(folder: pathlib.Path) -> None:
    extra = 'min_resize_value: 9 max_resize_value: 17'
    for image, target in _train(_experiment(folder / '*', extra, (17, 17)), 3, seed=0):
        assert (image[0] != resize.IMAGE_PADDING).any(-1).sum() == 9 * 17
        assert (target.semantic[0] != LABELS.ignore_label).any(1).sum() <= 9


def test_sizes_that_are_off_resize_nothing(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even to the size that an image has."""
    monkeypatch.setattr(resize, 'nearest', lambda *_: pytest.fail('resized'))
    extra = 'min_resize_value: 0 min_resize_value: 0 max_resize_value: -1'
    assert len(_train(_experiment(folder / '*', extra), 1, seed=0)) == 1


def test_changes_colours_where_a_policy_says_so(folder: pathlib.Path) -> None:
    policy = 'augmentations { autoaugment_policy_name: "simple_classification_policy" }'
    plain = _train(_experiment(folder / '*'), 20, seed=0)
    colored = _train(_experiment(folder / '*', policy), 20, seed=0)
    changed = [not np.array_equal(mine[0], theirs[0]) for mine, theirs in zip(plain, colored, strict=True)]
    assert 0 < sum(changed) < 20
    _assert_same([target for _, target in plain], [target for _, target in colored])


def test_weights_small_instances_only_if_told(folder: pathlib.Path) -> None:
    text = '{} small_instance_threshold: 100 small_instance_weight: 3.0'
    for switch, largest in (('', 1), ('increase_small_instance_weights: true', 3)):
        _, target = _train(_experiment(folder / '*', text.format(switch)), 1, seed=0)[0]
        assert target.semantic_weight.max() == largest


def test_classes_alone_are_learnt_without_weights_of_instances(folder: pathlib.Path) -> None:
    text = 'increase_small_instance_weights: true small_instance_threshold: 100 small_instance_weight: 3.0'
    experiment = _classes_only(_experiment(folder / '*', text))
    _, target = _train(experiment, 1, seed=0)[0]
    assert target.semantic_weight.max() == 1
    assert next(iter(pipeline.evaluation_samples(experiment))).targets.semantic_weight.numpy().max() == 1


def test_things_that_are_not_told_apart_teach_no_instances(tmp_path: pathlib.Path) -> None:
    for name in ('train', 'val'):
        _write(tmp_path / name, [0])
    splits = {
        name: manifest.Split(1, 'zlib', name == 'val', (manifest.Shard(name, 1, 0, ''),))
        for name in ('train', 'val')
    }
    manifest.write(tmp_path, manifest.Manifest('d', '1', splits))
    with pytest.raises(errors.InputError, match=r'train was converted with --semantic_only'):
        pipeline.training_samples(_experiment(tmp_path / 'train'))
    with pytest.raises(errors.InputError, match=r'eval_dataset_options\.file_pattern: .*train was converted'):
        pipeline.evaluation_samples(_experiment(tmp_path / '[tv]*'))
    pipeline.training_samples(_experiment(tmp_path / 'val'))
    pipeline.training_samples(_classes_only(_experiment(tmp_path / 'train')))


def test_evaluation_keeps_the_order_and_the_original(folder: pathlib.Path) -> None:
    experiment = _experiment(folder / '*', crop=(21, 41))
    samples = list(pipeline.evaluation_samples(experiment).as_numpy_iterator())
    assert [sample.raw.image_id.decode() for sample in samples] == [f'image_{i}' for i in range(10)]
    for number, sample in enumerate(samples):
        image, resized = resize.place(_pixels(number), (21, 41))
        panoptic = resize.place_label(_panoptic(number), resized, (21, 41), LABELS.void)
        np.testing.assert_array_equal(sample.image, image[None])
        np.testing.assert_array_equal(sample.resized, resized)
        np.testing.assert_array_equal(sample.raw.image, _pixels(number))
        np.testing.assert_array_equal(sample.raw.panoptic, _panoptic(number))
        expected = [field.numpy()[None] for field in targets.targets(panoptic, LABELS)]
        _assert_same(list(sample.targets), expected)


def test_evaluation_without_annotations(tmp_path: pathlib.Path) -> None:
    _write(tmp_path / 'test.tfrecord', [3], with_labels=False)
    experiment = _experiment(tmp_path / '*', 'decode_groundtruth_label: false')
    (sample,) = pipeline.evaluation_samples(experiment)
    assert sample.targets is None
    assert sample.raw.panoptic is None
    assert sample.image.shape == (1, HEIGHT, WIDTH, 3)


def test_patterns_add_up(folder: pathlib.Path) -> None:
    several = f'{folder}/*-00003-*, {folder}/*-00001-*" file_pattern: "{folder}/*-0000[01]-*'
    samples = pipeline.evaluation_samples(_experiment(several))
    assert [int(sample.image[0, 0, 0, 0]) for sample in samples] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def _broken(folder: pathlib.Path) -> Iterator[tuple[config.Experiment, str]]:
    yield _experiment(''), r'train_dataset_options\.file_pattern: records: names no records'
    yield (
        _experiment(f'{folder}/val-*'),
        r'train_dataset_options\.file_pattern: records: .*/val-\* matches no file',
    )
    (folder / 'empty').write_bytes(b'')
    yield _experiment(f'{folder}/empty'), r'empty .*hold no record; convert again'
    (folder / 'text').write_bytes(b'these are no records, whatever the name says')
    yield _experiment(f'{folder}/text'), r'text is no intact record file; give a pattern'
    yield _experiment(str(folder)), r'matches no file; give records that `panpipe convert` wrote'
    with tf.io.TFRecordWriter(str(folder / 'bytes')) as writer:
        writer.write(b'\x00no example')
    yield _experiment(f'{folder}/bytes'), r'is not a tf\.train\.Example'
    _write(folder / 'unlabelled', [0], with_labels=False)
    yield _experiment(f'{folder}/unlabelled'), r'unlabelled have no annotation; name an annotated split'
    _write(folder / 'good', [0])
    foreign = _experiment(f'{folder}/good', dataset='coco')
    yield foreign, r'dataset is coco_panoptic, but .*good holds class 996'
    wrong = 'augmentations { autoaugment_policy_name: "best" }'
    yield _experiment(f'{folder}/good', wrong), r"autoaugment_policy_name is 'best'"


def test_tells_users_what_is_wrong(tmp_path: pathlib.Path) -> None:
    for experiment, message in _broken(tmp_path):
        with pytest.raises(errors.InputError, match=message):
            pipeline.training_samples(experiment)
