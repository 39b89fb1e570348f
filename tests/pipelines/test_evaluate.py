# SPDX-License-Identifier: Apache-2.0
"""The evaluate job equals the metrics in memory, however the images are dealt out."""

import functools
import itertools
import json
import operator
import pathlib
import subprocess
import sys

import apache_beam as beam
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

import synthetic
from panpipe.model import datasets
from panpipe.model.inputs import records
from panpipe.model.metrics import boundary, quality, resampling, sizes, tally
from panpipe.pipelines import evaluate, score
from panpipe.pipelines.formats import png, segments
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.scoring import counting, evaluation, pairs

CITYSCAPES, COCO = (datasets.SPECS[f'{name}_panoptic'] for name in ('cityscapes', 'coco'))
SMALL = synthetic.SMALL
JUDGED = evaluation.Judged('panpipe 0')


def _perturb(rng, panoptic, labels):
    """Shifts a map and paints boxes of void, of another class and of a new instance on it."""
    prediction = np.roll(panoptic, rng.integers(-2, 3, 2), (0, 1))
    height, width = prediction.shape
    thing = int(rng.choice(labels.thing_ids))
    for wrong in (labels.void, labels.encode(labels.stuff_ids[0], 0), labels.encode(thing, 90)):
        top, left = rng.integers(0, height), rng.integers(0, width)
        prediction[top : top + height // 3, left : left + width // 3] = wrong
    return prediction


def _pair(seed, labels=SMALL, height=17, width=23):
    rng = np.random.default_rng(seed)
    truth = synthetic.panoptic_map(rng, labels, height, width)
    return truth, _perturb(rng, truth, labels)


def _tally(name, pair, labels=SMALL):
    classes = np.where(pair[1] == labels.void, labels.num_classes, pair[1] // labels.label_divisor)
    return tally.Tally.from_maps(name, *pair, classes, labels)


def _raw(tmp_path, spec):
    """Writes a toy data set and bad predictions of its split 'val': (root, {name: (truth, prediction)})."""
    raw = synthetic.toy(tmp_path / 'raw', spec.name, images=6)
    rng = np.random.default_rng(7)
    truths = synthetic.truths(raw, spec)
    pairs = {name: (truth, _perturb(rng, truth, spec.labels)) for name, truth in truths.items()}
    synthetic.write_predictions(
        tmp_path / 'predictions', {name: pair[1] for name, pair in pairs.items()}, spec
    )
    return raw, pairs


def _run(tmp_path, truth, spec, *more):
    folder, output = tmp_path / 'predictions', tmp_path / 'out' / 'evaluation.json'
    arguments = ['--dataset', spec.name, '--ground_truth', str(truth), '--predictions', str(folder)]
    return evaluate.main([*arguments, '--output', str(output), *more]), output


def _images(output):
    return [json.loads(line) for line in output.with_name('evaluation.images.jsonl').read_text().splitlines()]


def _assert_in_memory(content, images, pairs, spec):
    labels = spec.labels
    panoptic, semantic = quality.PanopticQuality.zero(labels), quality.ConfusionMatrix.zero(labels)
    edges = quality.PanopticQuality.zero(labels)
    for truth, prediction in pairs.values():
        panoptic += quality.PanopticQuality.from_maps(truth, prediction, labels)
        edges += boundary.from_maps(truth, prediction, labels)
        classes = np.where(prediction == labels.void, labels.num_classes, prediction // labels.label_divisor)
        semantic += quality.ConfusionMatrix.from_maps(truth // labels.label_divisor, classes, labels)
    result = panoptic.result()
    assert 0 < result.pq < 1
    for name, means in {'all': result, 'things': result.things, 'stuff': result.stuff}.items():
        assert content['num_classes'][name] == means.num_classes
        for key in ('pq', 'sq', 'rq'):
            expected = 100 * getattr(means, key) if means.num_classes else None
            assert content[key][name] == expected
    _assert_boundaries(content['boundary_pq'], edges.result(), spec)
    assert content['miou'] == 100 * semantic.result().miou
    for category in spec.categories:
        one = result.per_class[category.id]
        if one.is_valid:
            assert content['per_class'][category.name]['pq'] == 100 * one.pq
    assert [image['image_id'] for image in images] == sorted(pairs)
    for key, numbers in zip(('tp', 'fn', 'fp'), panoptic.counts, strict=True):
        assert sum(image[key] for image in images) == numbers.sum()
        assert sum(content['by_size'][size][key] for size in sizes.RANGES) == numbers.sum()


def _assert_boundaries(found, expected, spec):
    assert 0 < expected.pq < 1
    for name, means in {'all': expected, 'things': expected.things, 'stuff': expected.stuff}.items():
        assert found[name] == (100 * means.pq if means.num_classes else None)
    classes = {category.name: expected.per_class[category.id] for category in spec.categories}
    assert found['per_class'] == {name: 100 * one.pq for name, one in classes.items() if one.is_valid}


@pytest.mark.parametrize('spec', [CITYSCAPES, COCO], ids=lambda spec: spec.layout)
def test_the_job_equals_the_metrics_in_memory(tmp_path, capsys, spec):
    raw, pairs = _raw(tmp_path, spec)
    status, output = _run(tmp_path, raw, spec)
    assert status == 0
    content = json.loads(output.read_text())
    _assert_in_memory(content, _images(output), pairs, spec)
    assert content['evaluator'].startswith('panpipe ')
    assert content['num_images'] == len(pairs) == 2
    assert {path.name for path in output.parent.iterdir()} == {'evaluation.json', 'evaluation.images.jsonl'}
    low, high = content['intervals']['pq']['all']
    assert low <= content['pq']['all'] <= high
    told = capsys.readouterr().out
    assert all(name in told for name in pairs)
    assert 'the 2 worst of 2 images' in told
    assert 'boundary PQ' in told


@pytest.mark.parametrize('spec', [CITYSCAPES, COCO], ids=lambda spec: spec.layout)
def test_the_job_equals_the_official_evaluators(tmp_path, spec):
    raw, _ = _raw(tmp_path, spec)
    status, output = _run(tmp_path, raw, spec)
    official = tmp_path / 'score.json'
    arguments = ['--predictions', str(tmp_path / 'predictions'), '--ground_truth', str(raw)]
    name = spec.format
    assert (status, score.main(['--format', name, '--output', str(official), *arguments])) == (0, 0)
    theirs, ours = (json.loads(path.read_text()) for path in (official, output))
    assert {'evaluator', 'format', 'num_images', 'split'} <= set(ours) & set(theirs)
    assert ours['miou'] == pytest.approx(theirs['miou'], abs=1e-6)
    rows = [(ours[key], theirs[key]) for key in ('pq', 'sq', 'rq', 'num_classes')]
    assert set(ours['per_class']) == set(theirs['per_class'])
    rows += [(ours['per_class'][name], row) for name, row in theirs['per_class'].items()]
    for mine, expected in rows:
        assert mine == pytest.approx(expected, abs=1e-6)


def test_records_say_the_same_as_the_raw_data_set(tmp_path):
    raw, _ = _raw(tmp_path, COCO)
    _write_records(tmp_path, [*synthetic.raw_records(raw, COCO).values()])
    contents = []
    for truth in (raw, f'{tmp_path}/val-0*, {tmp_path}/val-1*'):
        status, output = _run(tmp_path, truth, COCO)
        assert status == 0
        contents.append((json.loads(output.read_text()), _images(output)))
    assert contents[0] == contents[1]


def _write_records(tmp_path, content):
    """Writes each record to a file of its own: val-0, val-1, …"""
    for number, record in enumerate(content):
        with beam.io.filesystems.FileSystems.create(str(tmp_path / f'val-{number}')) as file:
            beam.io.tfrecordio._TFRecordUtil.write_record(file, records.serialize(record))


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6), st.data())
def test_any_split_into_bundles_gives_the_identical_value(seeds, data):
    tallies = [_tally(f'{number:02d}', _pair(seed)) for number, seed in enumerate(seeds)]
    combine = counting.Join(SMALL)
    order = data.draw(st.permutations(tallies))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
    accumulators = []
    for start, end in itertools.pairwise([0, *cuts, len(order)]):
        accumulator = combine.create_accumulator()
        for one in order[start:end]:
            accumulator = combine.add_input(accumulator, one)
        accumulators.append(accumulator)
    joined = combine.extract_output(combine.merge_accumulators(accumulators))
    plain = sum(tallies[1:], tallies[0])
    assert joined.panoptic == plain.panoptic
    assert joined.boundary == plain.boundary
    assert joined.semantic == plain.semantic
    assert joined.by_size == plain.by_size
    spec = _spec(SMALL)
    assert evaluation.figures(joined, spec, JUDGED) == evaluation.figures(plain, spec, JUDGED)


def _spec(labels):
    """Describes a data set of these labels."""
    categories = tuple(
        datasets.Category(i, f'class {i}', (i, i, i), i in labels.thing_ids, i + 1)
        for i in range(labels.num_classes)
    )
    return datasets.DatasetSpec('small', 'coco', labels, categories, {'val': 0})


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1), st.sampled_from([SMALL, COCO.labels, CITYSCAPES.labels]))
def test_sizes_add_up_to_the_whole(seed, labels):
    pair = _pair(seed, labels, 60, 70)
    whole = quality.PanopticQuality.from_maps(*pair, labels)
    parts = sizes.from_maps(*pair, labels)
    assert sum(parts[1:], parts[0]) == whole


def test_segments_go_by_their_area():
    """100 x 100 (large), 40 x 40 (medium, matched as small), 10 x 10 (missed), and a wrong one of 50 x 50."""
    truth = np.full((200, 200), SMALL.void)
    truth[:100, :100] = SMALL.encode(2, 1)
    truth[100:140, :40] = SMALL.encode(3, 1)
    truth[150:160, :10] = SMALL.encode(3, 2)
    truth[100:, 100:] = SMALL.encode(0, 0)
    prediction = np.full_like(truth, SMALL.void)
    prediction[:100, :100] = SMALL.encode(2, 1)
    prediction[100:131, :31] = SMALL.encode(3, 1)
    prediction[100:150, 100:150] = SMALL.encode(5, 1)
    found = dict(zip(sizes.RANGES, sizes.from_maps(truth, prediction, SMALL), strict=True))
    # 31² of 40² is an IoU of 0.6: a match of medium size, though the prediction itself is small.
    assert found['small'].counts.sum(1).tolist() == [0, 1, 0]
    assert found['medium'].counts.sum(1).tolist() == [1, 0, 1]
    assert found['large'].counts.sum(1).tolist() == [1, 1, 0]
    assert found['medium'].result().per_class[3].sq == pytest.approx(31**2 / 40**2)
    assert found['large'].result().per_class[2].sq == 1


def test_a_prediction_in_crowd_is_wrong_at_no_size():
    truth = np.full((50, 50), SMALL.encode(2, 0))
    prediction = np.full((50, 50), SMALL.encode(2, 1))
    assert all(not part.counts.any() for part in sizes.from_maps(truth, prediction, SMALL))


def _intervals(pairs):
    counted = [_tally(str(number), pair).images[0] for number, pair in enumerate(pairs)]
    is_thing = counted[0].panoptic.is_thing
    return resampling.intervals(
        [image.panoptic for image in counted], [image.pixels for image in counted], is_thing
    )


def test_equal_images_leave_nothing_to_chance():
    pair = _pair(3)
    result = _tally('', pair).panoptic.result()
    found = _intervals([pair] * 4)
    assert found['pq']['all'] == pytest.approx((result.pq, result.pq))
    assert found['pq']['things'] == pytest.approx((result.things.pq, result.things.pq))
    miou = _tally('', pair).semantic.result().miou
    assert found['miou'] == pytest.approx((miou, miou))


def test_intervals_are_those_of_adding_up_drawn_images():
    pairs = [_pair(seed) for seed in range(8)]
    tallies = [_tally(str(number), pair) for number, pair in enumerate(pairs)]
    rng = np.random.default_rng(0)
    pqs, mious = [], []
    for numbers in rng.multinomial(8, [1 / 8] * 8, resampling.RESAMPLES):
        drawn = [one for one, number in zip(tallies, numbers, strict=True) for _ in range(number)]
        pqs.append(functools.reduce(operator.add, (one.panoptic for one in drawn)).result().pq)
        mious.append(functools.reduce(operator.add, (one.semantic for one in drawn)).result().miou)
    found = _intervals(pairs)
    low, high = found['pq']['all']
    assert (low, high) == pytest.approx(tuple(np.percentile(pqs, [2.5, 97.5])))
    assert found['miou'] == pytest.approx(tuple(np.percentile(mious, [2.5, 97.5])))
    assert low < np.mean(pqs) < high
    assert found == _intervals(pairs)


def test_groups_without_a_class_have_no_interval():
    truth = np.zeros((4, 4), np.int32)
    found = _intervals([(truth, truth)] * 2)
    assert found['pq'] == {'all': (1, 1), 'things': None, 'stuff': (1, 1)}


def test_label_id_pngs_make_the_miou_of_cityscapes(tmp_path):
    raw, pairs = _raw(tmp_path, CITYSCAPES)
    for name, (truth, _) in pairs.items():
        label_ids = CITYSCAPES.to_official()[truth // 1000].astype(np.uint8)
        png.save(str(tmp_path / 'predictions' / 'semantic' / f'{name}.png'), label_ids)
    status, output = _run(tmp_path, raw, CITYSCAPES)
    content = json.loads(output.read_text())
    assert (status, content['miou'], content['miou_of']) == (0, 100, 'semantic')
    assert content['pq']['all'] < 100


def test_predictions_are_read_back(tmp_path):
    truth, prediction = _pair(5, CITYSCAPES.labels)
    synthetic.write_predictions(tmp_path / 'p', {'a': prediction}, CITYSCAPES, semantic={'a': truth // 1000})
    found = prediction_files.read(str(tmp_path / 'p'), CITYSCAPES)
    panoptic = found.panoptic('a')
    one, two = (
        quality.PanopticQuality.from_maps(truth, each, CITYSCAPES.labels) for each in (panoptic, prediction)
    )
    assert one == two
    np.testing.assert_array_equal(panoptic // 1000, prediction // 1000)
    expected = np.where(truth == CITYSCAPES.labels.void, 19, truth // 1000)
    np.testing.assert_array_equal(found.semantic('a', panoptic), expected)


def test_two_segments_of_one_stuff_class_stay_two(tmp_path):
    """As panopticapi has it: the smaller one is wrong, or both are."""
    colors = segments.color(np.array([[1, 1, 1, 2]]))
    (tmp_path / 'p' / 'panoptic').mkdir(parents=True)
    png.save(str(tmp_path / 'p' / 'panoptic' / 'a.png'), colors)
    sky = [{'id': number, 'category_id': 187} for number in (1, 2)]
    content = {'annotations': [{'image_id': 'a', 'file_name': 'a.png', 'segments_info': sky}]}
    (tmp_path / 'p' / 'panoptic.json').write_text(json.dumps(content))
    found = prediction_files.read(str(tmp_path / 'p'), COCO)
    truth = np.full((1, 4), COCO.labels.encode(COCO.from_official[187].id, 0))
    counted = pairs.judge(pairs.Truth('a', truth), found)
    assert counted.panoptic.counts.sum(1).tolist() == [1, 0, 1]


def _edit(folder, change):
    path = folder / 'panoptic.json'
    content = json.loads(path.read_text())
    change(content['annotations'])
    path.write_text(json.dumps(content))


def _drop(folder):
    _edit(folder, lambda annotations: annotations.pop())


def _repeat(folder):
    _edit(folder, lambda annotations: annotations.append(annotations[0]))


def _rename_category(folder):
    _edit(folder, lambda annotations: annotations[0]['segments_info'][0].update(category_id=12))


def _rename_id(folder):
    _edit(folder, lambda annotations: annotations[0]['segments_info'][0].update(id='red'))


def _cut(folder):
    path = min((folder / 'panoptic').iterdir())
    path.write_bytes(path.read_bytes()[:90])


def _shrink(folder):
    path = min((folder / 'panoptic').iterdir())
    png.save(str(path), np.array(Image.open(path))[:-1])


@pytest.mark.parametrize(
    ('spoil', 'more', 'words'),
    [
        (_drop, {}, 'has no prediction of the image 000000500002; predict all'),
        (_repeat, {}, 'lists the image 500001 twice'),
        (_rename_category, {}, 'category 12, which coco_panoptic lacks'),
        (_rename_id, {}, 'id of the segment {"id": "red", '),
        (_cut, {}, 'cannot be decoded'),
        (_shrink, {}, 'is (63, 128) (height, width), the ground truth (64, 128)'),
        (lambda folder: (folder / 'panoptic.json').unlink(), {}, 'it is missing'),
        (lambda folder: (folder / 'panoptic.json').write_text('[]'), {}, 'is not a panoptic JSON'),
        (lambda folder: None, {'--split': 'test'}, 'no images of test'),
        (lambda folder: None, {'--ground_truth': 'nowhere*'}, 'nowhere* matches no file'),
        (lambda folder: None, {'--ground_truth': 'TWICE'}, 'TWIN 2 times'),
        (lambda folder: None, {'--ground_truth': 'BARE'}, 'TWIN of --ground_truth has no annotation'),
        (lambda folder: None, {'--ground_truth': 'DAMAGED'}, 'is no intact record file'),
        (lambda folder: None, {'--ground_truth': 'EMPTY'}, 'holds no image'),
        (lambda folder: None, {'--dataset': 'kitty'}, "unknown data set 'kitty'"),
        (lambda folder: None, {'--colour': 'red'}, '--colour'),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, capsys, spoil, more, words):
    raw, pairs = _raw(tmp_path, COCO)
    twin = min(pairs)
    label = pairs[twin][0]
    record = records.Record(twin, b'', 'png', *label.shape, label)
    _write_records(tmp_path, [record, record])
    _write_records(tmp_path / 'bare', [records.Record(twin, b'', 'png', 2, 2)])
    (tmp_path / 'DAMAGED').write_bytes(b'x' * 40)
    (tmp_path / 'EMPTY').write_bytes(b'')
    places = {
        'TWICE': f'{tmp_path}/val-*',
        'BARE': f'{tmp_path}/bare/val-*',
        **{name: f'{tmp_path}/{name}*' for name in ('DAMAGED', 'EMPTY')},
    }
    spoil(tmp_path / 'predictions')
    options = [places.get(part, part) for pair in more.items() for part in pair]
    status, output = _run(tmp_path, raw, COCO, *options)
    told = capsys.readouterr().err.splitlines()
    assert status == 2
    assert told[-1].startswith('panpipe evaluate: error: ')
    assert words.replace('TWIN', twin) in told[-1]
    assert not output.exists()


@pytest.mark.slow
def test_the_job_does_without_tensorflow():
    program = (
        'import sys\n'
        'from panpipe.pipelines import evaluate, validate\n'
        "assert not {'tensorflow', 'keras', 'tensorflow_transform'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, '-c', program], check=True, cwd=pathlib.Path(__file__).parent)
