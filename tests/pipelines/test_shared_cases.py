# SPDX-License-Identifier: Apache-2.0
"""Small data sets with which people's work went wrong: the right figures, or one line. Skipped if absent."""

import pytest

import judged
import shared

_RIGHT = {
    'bom': 100,
    'cs_partial': 100,
    'cs_space': 100,
    'exif_raw': 100,
    'gt_area0': 95,
    'inst_more_images': 100,
    'inst_no_iscrowd': 100,
    'inst_other_ids': 100,
    'one_thing': 100,
    'png_suffix': 100,
    'same_number': 100,
    'subfolders_mixed': 100,
    'tif_mixed': 100,
}
_SCORE_REFUSES = {
    'cs_trainids': 'these look like train ids',
    'inst_empty_seg': 'segmentation of the annotation',
    'no_isthing': 'category 3 has no isthing; add it, or name the data set',
}
_CONVERT_REFUSES = {
    'cs_unknown_label': 'holds the number 40',
    'gt_wrong_area': 'segment 65537: area 150, 100 pixels',
}


def _case(name):
    root = shared.case(name)
    return root, 'cityscapes_panoptic' if (root / 'gtFine').is_dir() else root / 'yard.json'


@pytest.mark.parametrize('name', _RIGHT)
def test_figures_are_right(tmp_path, name):
    root, dataset = _case(name)
    folder = judged.predicted(tmp_path, judged.converted(tmp_path, root, dataset), dataset)
    found = judged.scored(folder, root, dataset)
    assert found['pq']['all'] == pytest.approx(_RIGHT[name])
    assert found['ours']['pq']['all'] == pytest.approx(_RIGHT[name])
    assert found['instance']['ap'] == pytest.approx(100)


@pytest.mark.parametrize('name', _SCORE_REFUSES)
def test_ground_truth_is_refused(tmp_path, capsys, name):
    root, dataset = _case(name)
    folder = judged.predicted(tmp_path, judged.converted(tmp_path, root, dataset), dataset)
    assert judged.scored(folder, root, dataset) is None
    assert _SCORE_REFUSES[name] in capsys.readouterr().err


@pytest.mark.parametrize('name', _CONVERT_REFUSES)
def test_data_is_refused(tmp_path, capsys, name):
    root, dataset = _case(name)
    assert judged.converted(tmp_path, root, dataset) == {}
    assert _CONVERT_REFUSES[name] in capsys.readouterr().err
