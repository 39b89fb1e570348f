# SPDX-License-Identifier: Apache-2.0
import numpy as np

from panpipe.components import pages
from panpipe.model.drawing import evaluated
from panpipe.model.training import run_folder


def _run(folder, kinds, samples=2):
    directory = run_folder.RunDirectory(str(folder), 'run')
    for step, grey in ((1, 10), (2, 200)):
        picture = np.full((20, 30, 3), grey, np.uint8)
        for number in range(samples):
            tags = [f'sample_{number:06d}_a_b/{place}_{kind}' for place, kind in enumerate(kinds, 1)]
            directory.pictures('eval', dict.fromkeys(tags, picture), step)
    directory.scalars('eval', {'evaluation/pq/PQ': 0.5}, 2)
    return str(folder / 'run')


def test_the_page_shows_the_newest_pictures_of_some_samples(tmp_path):
    run = _run(tmp_path, evaluated.CHOICE, samples=8)
    text = pages.evaluation(run, 'the title')
    assert text.count('<section>') == 6
    assert text.count('<figure>') == 6 * len(evaluated.CHOICE)
    assert '<h2>sample 000000_a_b</h2>' in text
    captions = [kind.removesuffix('_rgb').replace('_', ' ') for kind in evaluated.CHOICE]
    places = [text.index(f'<figcaption>{caption}<') for caption in captions]
    assert places == sorted(places)
    assert text.count('<b>Errors</b>') == text.count('<b>Targets</b>') == 1
    newest = pages._pictures(tmp_path / 'run' / 'eval')
    assert {np.asarray(pages.Image.open(pages.io.BytesIO(each))).mean() for each in newest.values()} == {200}


def test_networks_without_instances_and_runs_without_pictures(tmp_path):
    text = pages.evaluation(_run(tmp_path, evaluated.SEMANTIC_CHOICE), '')
    assert 'Targets' not in text
    assert 'no pictures' in pages.evaluation(str(tmp_path / 'absent'), '')
