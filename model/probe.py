# SPDX-License-Identifier: Apache-2.0
"""Starts TensorFlow and reports as JSON what it finds: accelerators, the compiled op, a network to build.

`panpipe doctor` runs this in a process of its own, because a library that does not fit may abort the process
that loads it. The experiment to build, if any, comes as text on standard input.
"""

import dataclasses
import json
import sys

import tensorflow as tf

from panpipe.custom_ops import library
from panpipe.model import build, config, errors


@dataclasses.dataclass(frozen=True)
class Probe:
    """Holds what TensorFlow finds on this machine.

    Attributes:
      accelerators: type and name of each device that is no CPU.
      has_op: whether the compiled op is there.
      op_mistake: why it does not serve, empty where it loads or is not there.
      parameters: number of the network's parameters, 0 where no experiment is given.
      mistake: why the network cannot be built, empty where it can.
    """

    accelerators: tuple[str, ...]
    has_op: bool
    op_mistake: str = ''
    parameters: int = 0
    mistake: str = ''


def probe(text: str) -> Probe:
    """Looks at the devices and the op, and builds the network of an experiment unless `text` is empty."""
    devices = (device for device in tf.config.list_physical_devices() if device.device_type != 'CPU')
    accelerators = tuple(f'{device.device_type} {device.name}' for device in devices)
    tf.config.set_visible_devices([], 'GPU')  # they may be at work
    found = Probe(accelerators, library.available(), op_mistake())
    if not text:
        return found
    try:
        return dataclasses.replace(found, parameters=build.network(config.loads(text)).count_params())
    except ValueError as error:
        return dataclasses.replace(found, mistake=str(error))


def op_mistake() -> str:
    """Says why the compiled op, though built, does not serve; nothing where it does."""
    try:
        if library.available():
            library.load()
    except errors.InputError as error:
        return str(error)
    return ''


if __name__ == '__main__':
    print(json.dumps(dataclasses.asdict(probe(sys.stdin.read()))))
