# SPDX-License-Identifier: Apache-2.0
"""Starts TensorFlow and tells, as JSON, what it sees: accelerators, the compiled op, a network to build.

`panpipe doctor` runs this in a process of its own, because a library that does not fit may abort the process
that loads it. The experiment to build, if any, comes as text on standard input.
"""

import dataclasses
import json
import sys

import tensorflow as tf

from panpipe.custom_ops import library
from panpipe.model import build, config


@dataclasses.dataclass(frozen=True)
class Probe:
    """Holds what TensorFlow sees on this machine.

    Attributes:
      accelerators: type and name of each device that is no CPU.
      has_op: whether the compiled op is there and loads.
      parameters: number of the network's parameters, 0 where no experiment is given.
      mistake: why the network cannot be built, empty where it can.
    """

    accelerators: tuple[str, ...]
    has_op: bool
    parameters: int = 0
    mistake: str = ''


def probe(text: str) -> Probe:
    """Looks at the devices and the op, and builds the network of an experiment unless `text` is empty."""
    devices = (device for device in tf.config.list_physical_devices() if device.device_type != 'CPU')
    accelerators = tuple(f'{device.device_type} {device.name}' for device in devices)
    tf.config.set_visible_devices([], 'GPU')  # they may be at work
    has_op = library.available()
    if has_op:
        library.load()
    if not text:
        return Probe(accelerators, has_op)
    try:
        return Probe(accelerators, has_op, build.network(config.loads(text)).count_params())
    except ValueError as error:
        return Probe(accelerators, has_op, mistake=str(error))


if __name__ == '__main__':
    print(json.dumps(dataclasses.asdict(probe(sys.stdin.read()))))
