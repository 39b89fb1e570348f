# SPDX-License-Identifier: Apache-2.0
"""Records: an image with its annotation as a serialised tf.train.Example, without any TensorFlow.

The features are those of DeepLab2's records, so either program reads the other's files when labels are stored
'raw'. By default they are compressed: a label map shrinks 50 to 300 times, an image file does not shrink.
"""

import dataclasses
import zlib
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from PIL import ImageOps
from zlib_ng import zlib_ng

from panpipe.model import errors, image_files

IMAGE_ENCODED = 'image/encoded'
IMAGE_FILENAME = 'image/filename'
IMAGE_FORMAT = 'image/format'
IMAGE_HEIGHT = 'image/height'
IMAGE_WIDTH = 'image/width'
IMAGE_CHANNELS = 'image/channels'
LABEL_ENCODED = 'image/segmentation/class/encoded'
LABEL_FORMAT = 'image/segmentation/class/format'
# Not of DeepLab2, and only where there is something to tell.
SOURCE_ID = 'image/source_id'
LABEL_MISSING = 'image/segmentation/missing'

LABEL_FORMATS = ('zlib', 'raw')
IMAGE_FORMATS = ('jpeg', 'png')

# A Cityscapes label map takes 4 ms (zlib itself 11) and 100 kB at this level; its photo has 2500 kB.
_LEVEL = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """Holds one image file and its annotation.

    Attributes:
      image_id: file name without the folder of its split and without extension.
      encoded: the bytes of the image file, upright RGB.
      format: 'png' or 'jpeg'.
      height: pixels.
      width: pixels.
      panoptic: int32 [height, width], or None where there is no annotation.
      official_id: what the annotation file calls the image by, a number or a text; None if it is the name.
      missing: class of each segment that the annotation lists and that has no pixel.
    """

    image_id: str
    encoded: bytes
    format: str
    height: int
    width: int
    panoptic: np.ndarray | None = None
    official_id: str | int | None = None
    missing: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.format not in IMAGE_FORMATS:
            raise ValueError(f'format is {self.format!r}; it must be one of {", ".join(IMAGE_FORMATS)}')
        if self.panoptic is not None and self.panoptic.shape != (self.height, self.width):
            raise ValueError(
                f'{self.image_id}: the panoptic map is {self.panoptic.shape}, '
                f'the image {(self.height, self.width)}; they must agree'
            )


def serialize(record: Record, label_format: str = 'zlib') -> bytes:
    """Writes a record as a tf.train.Example: on one kind of processor the same bytes for the same record.

    Args:
      record: what to write.
      label_format: 'zlib' compresses the label map; 'raw' is what DeepLab2 reads, little-endian int32 rows.

    Raises:
      ValueError: the label format is unknown.
    """
    if label_format not in LABEL_FORMATS:
        raise ValueError(f'label_format is {label_format!r}; it must be one of {", ".join(LABEL_FORMATS)}')
    example = _EXAMPLE()
    features = example.features.feature
    features[IMAGE_ENCODED].bytes_list.value.append(record.encoded)
    features[IMAGE_FILENAME].bytes_list.value.append(record.image_id.encode())
    features[IMAGE_FORMAT].bytes_list.value.append(record.format.encode())
    features[IMAGE_HEIGHT].int64_list.value.append(record.height)
    features[IMAGE_WIDTH].int64_list.value.append(record.width)
    features[IMAGE_CHANNELS].int64_list.value.append(3)
    if isinstance(record.official_id, int):
        features[SOURCE_ID].int64_list.value.append(record.official_id)
    elif record.official_id is not None:
        features[SOURCE_ID].bytes_list.value.append(record.official_id.encode())
    if record.missing:
        features[LABEL_MISSING].int64_list.value.extend(record.missing)
    if record.panoptic is not None:
        pixels = np.ascontiguousarray(record.panoptic, '<i4')
        label = zlib_ng.compress(pixels.data, _LEVEL) if label_format == 'zlib' else pixels.tobytes()
        features[LABEL_ENCODED].bytes_list.value.append(label)
        features[LABEL_FORMAT].bytes_list.value.append(label_format.encode())
    return example.SerializeToString(deterministic=True)


def parse(serialized: bytes) -> Record:
    """Reads a record that this program or DeepLab2 wrote.

    Raises:
      errors.InputError: the bytes are not such a record, or its label does not fit its size.
    """
    features = _features(serialized, (IMAGE_ENCODED, IMAGE_FILENAME, IMAGE_HEIGHT, IMAGE_WIDTH))
    name = _text(features, IMAGE_FILENAME)
    encoded = _bytes(features, IMAGE_ENCODED)
    # DeepLab2 writes 'jpg' where its flags say so; the bytes are the same.
    declared = _text(features, IMAGE_FORMAT) or ('png' if encoded[:4] == b'\x89PNG' else 'jpeg')
    image_format = {'jpg': 'jpeg'}.get(declared, declared)
    if image_format not in IMAGE_FORMATS:
        raise errors.InputError(
            f'the image of {name} is stored as {declared!r}; '
            f'records hold {", ".join(IMAGE_FORMATS)}: convert again'
        )
    height = _integer(features, IMAGE_HEIGHT)
    width = _integer(features, IMAGE_WIDTH)
    panoptic = _label(features, name, height, width)
    missing = tuple(features[LABEL_MISSING].int64_list.value) if LABEL_MISSING in features else ()
    return Record(name, encoded, image_format, height, width, panoptic, _official_id(features), missing)


def image_id(serialized: bytes) -> str:
    """Reads the name alone of a record, without decoding its label.

    Raises:
      errors.InputError: the bytes are not a record.
    """
    return _text(_features(serialized, (IMAGE_FILENAME,)), IMAGE_FILENAME)


def decode_image(encoded: bytes, where: str) -> np.ndarray:
    """Decodes an image file's bytes to uint8 [height, width, 3], RGB, upright whatever its EXIF says.

    Args:
      encoded: PNG, JPEG or anything else that Pillow reads.
      where: what to call it in an error, for example the file's path.

    Raises:
      errors.InputError: the bytes are no image, or end early.
    """
    image = image_files.opened(encoded, where)
    with image_files.told(where):
        return np.array(ImageOps.exif_transpose(image).convert('RGB'))


def _features(serialized: bytes, needed: tuple[str, ...]) -> Any:
    example = _EXAMPLE()
    try:
        example.ParseFromString(serialized)
    except message.DecodeError as error:
        raise errors.InputError(
            f'a record of {len(serialized)} bytes is not a tf.train.Example; convert again'
        ) from error
    features = example.features.feature
    missing = [key for key in needed if key not in features]
    if missing:
        raise errors.InputError(f'a record lacks {", ".join(missing)}; it was not written by panpipe convert')
    return features


def _label(features: Any, image_id: str, height: int, width: int) -> np.ndarray | None:
    if LABEL_ENCODED not in features:
        return None
    label = _bytes(features, LABEL_ENCODED)
    label_format = _text(features, LABEL_FORMAT) or 'raw'
    if label_format not in LABEL_FORMATS:
        raise errors.InputError(
            f'the label of {image_id} is stored as {label_format!r}, which holds no instances; convert again'
        )
    try:
        pixels = zlib.decompress(label) if label_format == 'zlib' else label
    except zlib.error as error:
        raise errors.InputError(
            f'the label of {image_id} cannot be decompressed ({error}); convert again'
        ) from error
    if len(pixels) != 4 * height * width:
        raise errors.InputError(
            f'the label of {image_id} has {len(pixels)} bytes, but its image is {height} x {width} and '
            f'needs {4 * height * width}; convert again'
        )
    return np.frombuffer(pixels, '<i4').reshape(height, width).astype(np.int32)


def _bytes(features: Any, key: str) -> bytes:
    values = features[key].bytes_list.value if key in features else ()
    return values[0] if values else b''


def _text(features: Any, key: str) -> str:
    content = _bytes(features, key)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise errors.InputError(
            f'{key} of a record is {content!r}, which is not UTF-8; convert again'
        ) from error


def _official_id(features: Any) -> str | int | None:
    if SOURCE_ID not in features:
        return None
    numbers = features[SOURCE_ID].int64_list.value
    return numbers[0] if numbers else _text(features, SOURCE_ID)


def _integer(features: Any, key: str) -> int:
    values = features[key].int64_list.value
    return values[0] if values else 0


def _example_class() -> type[message.Message]:
    """Describes tf.train.Example in a pool of its own, where it cannot collide with TensorFlow's own."""
    file = descriptor_pb2.FileDescriptorProto(name='example.proto', package='panpipe', syntax='proto3')
    kinds = {'bytes_list': 'BytesList', 'float_list': 'FloatList', 'int64_list': 'Int64List'}
    field = descriptor_pb2.FieldDescriptorProto
    types = (field.TYPE_BYTES, field.TYPE_FLOAT, field.TYPE_INT64)
    for name, kind_type in zip(kinds.values(), types, strict=True):
        file.message_type.add(name=name).field.add(
            name='value', number=1, type=kind_type, label=field.LABEL_REPEATED
        )
    feature = file.message_type.add(name='Feature')
    feature.oneof_decl.add(name='kind')
    for number, (name, kind) in enumerate(kinds.items(), 1):
        feature.field.add(
            name=name, number=number, type=field.TYPE_MESSAGE, type_name=f'.panpipe.{kind}', oneof_index=0,
            label=field.LABEL_OPTIONAL,
        )  # fmt: skip
    features = file.message_type.add(name='Features')
    entry = features.nested_type.add(name='FeatureEntry')
    entry.options.map_entry = True
    entry.field.add(name='key', number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(
        name='value', number=2, type=field.TYPE_MESSAGE, type_name='.panpipe.Feature',
        label=field.LABEL_OPTIONAL,
    )  # fmt: skip
    features.field.add(
        name='feature', number=1, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED,
        type_name='.panpipe.Features.FeatureEntry',
    )  # fmt: skip
    file.message_type.add(name='Example').field.add(
        name='features', number=1, type=field.TYPE_MESSAGE, type_name='.panpipe.Features',
        label=field.LABEL_OPTIONAL,
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('panpipe.Example'))


_EXAMPLE: Any = _example_class()
