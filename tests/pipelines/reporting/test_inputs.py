# SPDX-License-Identifier: Apache-2.0
"""Files that the report takes are read whole before any work, or told with the job that writes them."""

import pytest

import small_statistics
from panpipe.model import errors
from panpipe.model.metrics import oracle_results, result_files, results
from panpipe.model.storage import manifest
from panpipe.pipelines.reporting import inputs

OPTIONS = ('score', 'evaluation', 'oracles', 'statistics', 'config', 'records', 'run_dir')
GROUPS = results.Groups(50.0, 40.0, 60.0)
RESULT = results.Result('panpipe', 1, GROUPS, GROUPS, GROUPS, results.ClassCounts(2, 1, 1), 50.0, {})
INTERVALS = results.Intervals(95, 100, {'all': (40.0, 60.0)}, (45.0, 55.0))
ORACLE = oracle_results.Oracle(GROUPS, GROUPS, GROUPS, 50.0, oracle_results.Gain(results.NOTHING, None))


def _read(**paths):
    return inputs.read({**dict.fromkeys(OPTIONS), **paths})


def test_nothing_is_nothing():
    assert _read() == inputs.Inputs(None, None, {}, None, '', {})


def test_results_come_back(tmp_path):
    path = tmp_path / 'score.json'
    result_files.write(path, RESULT)
    assert _read(score=path).score == RESULT


def test_an_evaluation_has_images_and_intervals(tmp_path):
    path = tmp_path / 'evaluation.json'
    whole = results.Result(**{**vars(RESULT), 'intervals': INTERVALS})
    image = results.ImageFigures(50.0, 60.0, 70.0, 1, 2, 3, 'a', 40.0)
    result_files.write(path, whole)
    result_files.write_images(path, [image])
    found = _read(evaluation=path).evaluation
    assert found.result == whole
    assert found.images == (image,)


def test_an_evaluation_of_train_has_no_intervals(tmp_path):
    path = tmp_path / 'evaluation.json'
    result_files.write(path, RESULT)
    with pytest.raises(errors.InputError, match='has no intervals; give the file that `panpipe evaluate`'):
        _read(evaluation=path)


def test_oracles_are_named_in_words(tmp_path):
    path = tmp_path / 'oracles.json'
    by_name = dict.fromkeys(('baseline', 'instances', 'semantic'), ORACLE)
    result_files.write_typed(path, oracle_results.OracleResult('panpipe', 'coco', 7, 3, by_name))
    assert list(_read(oracles=path).oracles) == [
        'nothing: the network itself', 'centers and offsets', 'semantic',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('option', 'job'),
    [
        ('score', 'score'),
        ('evaluation', 'evaluate'),
        ('oracles', 'oracles'),
        ('statistics', 'statistics'),
    ],
)
@pytest.mark.parametrize('content', [b'', b'[]', b'\xff', b'[' * 10**5, b'{"schema": 2}', b'{"schema": 1}'])
def test_files_of_other_jobs_are_told(option, job, content, tmp_path):
    path = tmp_path / 'given.json'
    path.write_bytes(content)
    with pytest.raises(errors.InputError, match=f'`panpipe {job}`') as caught:
        _read(**{option: path})
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_statistics_come_back(tmp_path):
    path = tmp_path / 'statistics.json'
    result_files.write_typed(path, small_statistics.FOUND)
    assert _read(statistics=path).statistics == small_statistics.FOUND


def test_a_configuration_is_text(tmp_path):
    path = tmp_path / 'a.textproto'
    path.write_text('experiment_name: "a"')
    assert _read(config=path).config == 'experiment_name: "a"'
    path.write_bytes(b'\xff\xfe\xff')
    with pytest.raises(errors.InputError, match=r'--config .*a\.textproto is no text \(.*\); give another'):
        _read(config=path)


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(errors.InputError, match=rf'^--config: cannot read {tmp_path}/none: No such file'):
        _read(config=tmp_path / 'none')
    with pytest.raises(errors.InputError, match=rf'^--config: cannot read {tmp_path}: Is a directory'):
        _read(config=tmp_path)
    with pytest.raises(errors.InputError, match=rf'^cannot read {tmp_path}/none: it is missing'):
        _read(statistics=tmp_path / 'none')


def test_records_are_named_by_their_manifest(tmp_path):
    split = manifest.Split(1, 'zlib', True, (manifest.Shard('val-00000-of-00001.tfrecord', 1, 9, '0' * 8),))
    written = manifest.Manifest('coco_panoptic', '0.1.0', {'val': split})
    manifest.write(tmp_path, written)
    assert _read(records=tmp_path).data == {'digest': written.digest(), 'manifest': written}


def test_a_folder_without_a_manifest_is_told(tmp_path):
    with pytest.raises(errors.InputError, match=r'has no manifest\.json; give a folder that convert wrote'):
        _read(records=tmp_path)


@pytest.mark.parametrize('part', ['train', 'eval'])
def test_a_run_has_summaries(part, tmp_path):
    with pytest.raises(errors.InputError, match='holds no summaries in train/ or eval/; give the folder'):
        _read(run_dir=tmp_path)
    (tmp_path / part).mkdir()
    (tmp_path / part / 'events.out.tfevents.1').write_bytes(b'')
    assert _read(run_dir=tmp_path) == _read()
