# SPDX-License-Identifier: Apache-2.0
"""The whole way on real components, from raw files to official scores and the report.

The short test says that the parts fit; the slow ones say that the network learns what it is shown.
"""

import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import shared
from panpipe.components import workflow
from panpipe.model import datasets

CONFIGS = pathlib.Path(__file__).parents[1] / 'model/configs/sample'
KMAX = 'toy/cityscapes_kmax_convnext_atto'


def _run(tmp_path, *arguments):
    output = tmp_path / 'out'
    assert workflow.main(['run', '--output', str(output), *arguments]) == 0
    return output, json.loads((output / 'score.json').read_text())


def _tiny(*more):
    """Returns options of a run on tiny scenes: 2 steps learn nothing, but everything is made and scored."""
    names = ('crop_size', 'min_resize_value', 'max_resize_value')
    fields = [f'{part}_dataset_options.{name}=33,65' for part in ('train', 'eval') for name in names]
    fields += [
        'trainer_options.solver_options.training_number_of_steps=2',
        'train_dataset_options.batch_size=2',
    ]
    fields += ['trainer_options.steps_per_loop=1', 'trainer_options.save_summaries_steps=1', *more]
    toy = ['--toy_images=2', '--toy_height=64', '--toy_width=128']
    return [*toy, *(f'--set={field}' for field in fields)]


def _is_whole(output, score):
    made = {path.name for path in output.iterdir()}
    assert {'records', 'model', 'evaluation', 'export', 'predictions', 'score.json', 'report.html'} <= made
    assert {'samples.html', 'evaluation.html'} <= made
    assert set(score['pq']) == {'all', 'things', 'stuff'}
    evaluation = json.loads((output / 'evaluation' / 'run' / 'evaluation.json').read_text())
    assert evaluation['pq']['all'] == pytest.approx(score['pq']['all'], abs=1e-6)


@pytest.mark.parametrize(
    'dataset', ['cityscapes_panoptic', pytest.param('coco_panoptic', marks=pytest.mark.slow)]
)
def test_the_parts_fit(tmp_path, dataset, capfd):
    output, score = _run(tmp_path, '--dataset', dataset, *_tiny())
    _is_whole(output, score)
    assert 'id="slots"' not in (output / 'report.html').read_text()
    assert 'report:' in capfd.readouterr().out


@pytest.mark.slow
def test_the_parts_of_a_mask_transformer_fit(tmp_path):
    sample = 'model_options.max_deeplab.instance_discrimination_sample_k=64'
    output, score = _run(tmp_path, '--config', KMAX, *_tiny(sample))
    _is_whole(output, score)
    told = json.loads((output / 'evaluation/run/slots/slots.json').read_text())
    assert told['num_slots'] == 32
    page = (output / 'report.html').read_text()
    assert f'{len(told["slots"])} of 32 slots hold a segment' in page
    assert page.count('class="sheet"') == len(told['pictures']) == 1


@pytest.mark.slow
def test_a_mask_transformer_learns_toy_streets(tmp_path):
    """Official Cityscapes scoring of images that it was not trained with."""
    output, score = _run(tmp_path, '--config', KMAX)
    assert score['pq']['all'] >= 60
    _agrees(output, score)


@pytest.mark.slow
def test_learns_two_coco_photos(tmp_path):
    """Official COCO scoring, 133 classes, crowd present."""
    arguments = ['--raw_data', str(shared.sample('coco')), '--config', str(CONFIGS / 'coco.textproto')]
    output, score = _run(tmp_path, '--dataset', 'coco_panoptic', *arguments)
    assert score['pq']['all'] >= 65
    _agrees(output, score)


@pytest.mark.slow
def test_learns_a_street_photo(tmp_path):
    """Official Cityscapes scoring; the sample's ground truth is brought into the official form first."""
    raw = _official_form(shared.sample('cityscapes_like'), tmp_path / 'raw')
    output, score = _run(tmp_path, '--raw_data', str(raw), '--config', str(CONFIGS / 'street.textproto'))
    assert score['pq']['all'] >= 90
    _agrees(output, score)


def _agrees(output, score):
    evaluation = json.loads((output / 'evaluation' / 'run' / 'evaluation.json').read_text())
    for measure in ('pq', 'sq', 'rq'):
        assert evaluation[measure]['all'] == pytest.approx(score[measure]['all'], abs=1e-4), measure


def _official_form(source, target):
    """Copies the photo and turns its panoptic PNG into `*_instanceIds.png` and `*_labelIds.png`."""
    official = datasets.SPECS['cityscapes_panoptic'].to_official()
    for split in ('train', 'val'):
        shutil.copytree(source / 'leftImg8bit' / split, target / 'leftImg8bit' / split)
        folder = target / 'gtFine' / split / 'dummy'
        folder.mkdir(parents=True)
        name = f'gtFine/cityscapes_panoptic_{split}_trainId'
        annotation = json.loads((source / f'{name}.json').read_text())['annotations'][0]
        colors = np.asarray(Image.open(source / name / annotation['file_name'])).astype(np.int32)
        ids = colors @ [1, 256, 65536]
        instances = np.zeros(ids.shape, np.uint16)
        labels = np.zeros(ids.shape, np.uint8)
        number = 0
        for segment in annotation['segments_info']:
            label = int(official[segment['category_id']])
            is_single = segment['category_id'] >= 11 and not segment['iscrowd']
            instances[ids == segment['id']] = label * 1000 + number if is_single else label
            labels[ids == segment['id']] = label
            number += is_single
        stem = annotation['image_id']
        Image.fromarray(instances).save(folder / f'{stem}_gtFine_instanceIds.png')
        Image.fromarray(labels).save(folder / f'{stem}_gtFine_labelIds.png')
    return target
