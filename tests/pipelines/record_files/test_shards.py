# SPDX-License-Identifier: Apache-2.0
"""Shards are written aside by name, and published when all are there; either may be done twice."""

import dataclasses

import pytest

import beams
import yards
from panpipe.model import datasets, errors
from panpipe.model.inputs import records
from panpipe.model.storage import files, manifest
from panpipe.pipelines import sources
from panpipe.pipelines.record_files import lookup, plans, publishing, shards
from panpipe.pipelines.running import failures

FAIL, SKIP = failures.Policy(), failures.Policy(skips=True)


@dataclasses.dataclass(frozen=True)
class Planned:
    """A conversion of two images into two shards, whose plan is saved."""

    plan: plans.Plan
    staging: str
    output: str
    image: str


@pytest.fixture
def planned(tmp_path):
    yard = yards.Yard(tmp_path / 'yard')
    spec = datasets.find(str(yard.dataset))
    dealt = plans.deal('val', sources.module(spec).list_images(str(yard.root), 'val', spec), 2)
    names = {'val': tuple(shard.name for shard in dealt)}
    plan = plans.Plan('digest', spec.name, '1', 'zlib', True, names, spec.description)
    output = str(tmp_path / 'records')
    plan.save(plan.staging(output), dealt)
    return Planned(plan, plan.staging(output), output, str(yard.image()))


def test_shards_are_written_aside_and_published_when_all_are(planned):
    written = beams.outputs(shards.WriteShards(planned.staging, 'zlib', FAIL), planned.plan.names)
    assert sorted(written) == sorted(planned.plan.names)
    done = [shards.finished(planned.staging, planned.output, name) for name in planned.plan.names]
    assert [one.shard.records for one in done] == [1, 1]
    assert manifest.read(planned.output) is None
    publish = publishing.PublishShards(planned.staging, planned.output, 'digest', FAIL)
    assert beams.outputs(publish, written) == [planned.output]
    assert manifest.read(planned.output).splits['val'].images == 2
    assert [records.image_id(one) for one in lookup.read(lookup.match(planned.output))] == ['im1', 'im2']
    assert not files.exists(planned.staging)


def test_publishing_twice_changes_nothing(planned):
    for name in planned.plan.names:
        shards.write(name, planned.staging, 'zlib', FAIL)
    for _ in range(2):
        publishing.publish(planned.staging, planned.output, 'digest', FAIL)
    assert manifest.read(planned.output).splits['val'].images == 2


def test_a_shard_that_is_not_written_is_named(planned):
    shards.write(planned.plan.names[0], planned.staging, 'zlib', FAIL)
    with pytest.raises(errors.InputError, match=rf'{planned.plan.names[1]} \(1 of 2 files\) was not written'):
        publishing.publish(planned.staging, planned.output, 'digest', FAIL)
    assert manifest.read(planned.output) is None


def test_a_damaged_image_is_left_out_where_that_is_wished(planned):
    files.write_whole(planned.image, b'damage')
    with pytest.raises(errors.InputError, match='cannot be decoded'):
        shards.write(planned.plan.names[0], planned.staging, 'zlib', FAIL)
    done = shards.write(planned.plan.names[0], planned.staging, 'zlib', SKIP)
    assert (done.shard.records, done.skipped[0].image) == (0, 'im1')
    assert shards.finished(planned.staging, planned.output, planned.plan.names[0]) == done
