# SPDX-License-Identifier: Apache-2.0
"""Times what the prediction job does beside the network: decode, place, post-process, restore, write files.

The last row is what one more image costs the whole job, its steps side by side, from runs on 4 and 40 images,
each in a process of its own.

python tests/benchmarks/predict.py [--threads 1,2] [--repeats 10] [--json FILE]

The network is a constant: it says at once what `merge.scene` draws. The photo is one of `frames.py`.
"""

import functools
import io
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import Any

import frames
import postprocess
from PIL import Image

import timing

DATASET = 'cityscapes_panoptic'


def network() -> Any:
    """Makes what stands in for a network: it knows its heads beforehand, whatever the images."""
    import tensorflow as tf

    from panpipe.model import tensors

    class Constant(tf.Module):
        weights = ()

        def __init__(self) -> None:
            # Variables, so that TensorFlow does not post-process once for all.
            self.heads = [tf.Variable(head) for head in postprocess.heads()]

        def __call__(self, images: tf.Tensor, training: bool = False) -> tensors.Heads:
            del training
            with tf.control_dependencies([images]):  # one after the other, as with a network
                return tensors.Heads(*(tf.identity(head) for head in self.heads))

    return Constant()


def export(folder: pathlib.Path) -> None:
    """Writes a SavedModel of the constant network, as `panpipe export` does."""
    import tensorflow as tf

    from panpipe.model import config, datasets, inference
    from panpipe.model import export as job
    from panpipe.model.inputs import pipeline

    size = postprocess.HEIGHT, postprocess.WIDTH
    options = config.DatasetOptions(dataset=DATASET, crop_size=size)
    server = job.Server(
        network(),
        datasets.find(DATASET).labels,
        pipeline.placement(options),
        size,
        inference.Postprocessing(0.1, 13, 200, 2048, use_op=True),
        inference.Views(),
        has_instances=True,
    )
    tf.saved_model.save(server, str(folder), signatures={'pixels': server.serve_pixels})
    facts = folder / 'assets.extra/panpipe.json'
    facts.parent.mkdir()
    facts.write_text(json.dumps({'dataset': DATASET, 'uses_op': True, 'has_instances': True}))


def measure(repeats: int) -> dict[str, timing.Row]:
    import tensorflow as tf

    from panpipe.model import datasets
    from panpipe.pipelines.formats import registry
    from panpipe.pipelines.predictions import saved_model

    spec, photo = datasets.find(DATASET), io.BytesIO()
    Image.fromarray(frames.frame(0)[0]).save(photo, 'PNG')
    with tempfile.TemporaryDirectory() as place:
        root = pathlib.Path(place)
        export(root / 'model')
        predictor = saved_model.Predictor(str(root / 'model'))
        image = saved_model.Image('town_000000_000019_leftImg8bit', photo.getvalue())
        (maps,) = predictor.predict([image])
        written = maps.panoptic.nbytes + maps.semantic.nbytes
        works = {
            'stage: decode the photo': timing.Work(
                functools.partial(tf.io.decode_image, image.encoded), 3 * maps.panoptic.size
            ),
            'decode, post-process, restore': timing.Work(
                functools.partial(predictor.predict, [image]), 3 * maps.panoptic.size + written
            ),
        }
        for name in ('cityscapes', 'coco'):
            form, folder = registry.FORMATS[name], root / name
            for inner in form.FOLDERS:
                (folder / inner).mkdir(parents=True)
            works[f'write files, {name}'] = timing.Work(
                functools.partial(form.write, str(folder), maps, spec), written
            )
        rows = timing.rows(works, repeats)
        rows['the whole job, an image'] = timing.Row(times=_job(root, image.encoded, repeats))
        return rows


def _job(root: pathlib.Path, photo: bytes, repeats: int) -> list[float]:
    """Returns by how many milliseconds an image prolongs the job; each figure takes a quarter of a minute."""
    few, many = 4, 40
    for number in (few, many):
        (root / f'{number}').mkdir()
        for i in range(number):
            (root / f'{number}/town_{i:06d}_000019_leftImg8bit.png').write_bytes(photo)

    def run(number: int) -> None:
        arguments = ['--saved_model', root / 'model', '--input', root / f'{number}', '--output', root / 'out']
        job = [sys.executable, '-m', 'panpipe.pipelines.predict', *map(str, arguments)]
        subprocess.run(job, check=True, capture_output=True)
        shutil.rmtree(root / 'out')

    times = timing.in_turn({f'{n}': functools.partial(run, n) for n in (few, many)}, max(3, repeats // 5))
    pairs = zip(times[f'{few}'], times[f'{many}'], strict=True)
    return [(longer - shorter) / (many - few) for shorter, longer in pairs]


if __name__ == '__main__':
    timing.main('Times the prediction of one Cityscapes frame without its network.', measure)
