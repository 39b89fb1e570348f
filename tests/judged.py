# SPDX-License-Identifier: Apache-2.0
"""Jobs on small data sets as people run them: convert, then the ground truth as a prediction is judged."""

import json
import pathlib

import synthetic
from panpipe.model import datasets
from panpipe.model.inputs import records
from panpipe.pipelines import convert, evaluate, score
from panpipe.pipelines.record_files import lookup


def converted(tmp_path, root, dataset, split='val', *more):
    """Converts a split; returns the records by image, of which there are none where that fails."""
    output = tmp_path / 'records'
    arguments = ['--dataset', str(dataset), '--input', str(root), '--output', str(output), '--splits', split]
    if convert.main([*arguments, *more]):
        # Finished shards wait in a folder of their own for the next run; none is published.
        assert not [*output.glob('*.tfrecord'), *output.glob('manifest.json')]
        return {}
    return parsed(output, split)


def parsed(folder, split='val'):
    """Reads the records of a split by image."""
    found = map(records.parse, lookup.read(sorted(map(str, pathlib.Path(folder).glob(f'{split}*')))))
    return {record.image_id: record for record in found}


def predicted(tmp_path, found, dataset):
    """Writes the labels of records as a prediction, and returns its folder."""
    spec = datasets.find(str(dataset))
    folder = tmp_path / 'predictions'
    synthetic.write_predictions(
        folder,
        {name: record.panoptic for name, record in found.items()},
        spec,
        ids={name: record.official_id for name, record in found.items()},
    )
    return folder


def scored(folder, root, dataset, *more):
    """Scores a folder of predictions: the content of the score file, or None where that fails."""
    output = pathlib.Path(folder).with_name('score.json')
    form = datasets.find(str(dataset)).format
    arguments = ['--predictions', str(folder), '--ground_truth', str(root), '--output', str(output)]
    status = score.main(['--format', form, *arguments, *map(str, more)])
    assert status in (0, 2)
    assert output.exists() == (status == 0)
    return json.loads(output.read_text()) if status == 0 else None


def evaluated(folder, truth, dataset):
    """Evaluates a folder of predictions: the content of the file, or None where that fails."""
    output = pathlib.Path(folder).with_name('evaluation.json')
    arguments = ['--predictions', str(folder), '--ground_truth', str(truth), '--output', str(output)]
    status = evaluate.main(['--dataset', str(dataset), *arguments])
    assert status in (0, 2)
    return json.loads(output.read_text()) if status == 0 else None
