# SPDX-License-Identifier: Apache-2.0
"""The Beam jobs, how they are called, and what they write."""

from collections.abc import Mapping

from panpipe.pipelines import convert, evaluate, predict, statistics

DATASET = ('--dataset', 'cityscapes_panoptic')
JOBS = {'convert': convert, 'statistics': statistics, 'predict': predict, 'evaluate': evaluate}
OUTPUTS: Mapping[str, str] = {
    'convert': 'records',
    'statistics': 'statistics',
    'predict': 'predictions',
    'evaluate': 'evaluation.json',
}


def arguments(job: str, inputs: str, outputs: str) -> list[str]:
    """Returns the arguments of a job, which reads what lies in one folder and writes into another."""
    output = f'{outputs}/{OUTPUTS[job]}'
    train = f'{inputs}/records/train*'
    return {
        'convert': [*DATASET, '--input', f'{inputs}/raw'],
        'statistics': [*DATASET, '--input', train],
        'predict': ['--saved_model', f'{inputs}/model', '--input', train],
        'evaluate': [*DATASET, '--ground_truth', train, '--predictions', f'{inputs}/predictions'],
    }[job] + ['--output', output]
