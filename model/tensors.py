# SPDX-License-Identifier: Apache-2.0
"""The groups of arrays that travel between modules.

They are NamedTuples, because those pass through `tf.data`, `tf.function`, `Strategy.run` and
`keras.Model.call`. A field is a numpy array or a tensor; this module imports neither.
"""

from typing import Any, NamedTuple

Array = Any


class Sample(NamedTuple):
    """One image with its annotation.

    Attributes:
      image_id: name without folder and extension.
      image: uint8 [height, width, 3], RGB.
      panoptic: int32 [height, width], or None where there is no annotation.
    """

    image_id: Array
    image: Array
    panoptic: Array | None


class Targets(NamedTuple):
    """Training targets of one image (or of a batch: one more leading axis).

    Attributes:
      semantic: int32 [height, width], class ids; void pixels hold the ignore label.
      semantic_weight: float32 [height, width].
      center: float32 [height, width], Gaussians at the instances' centers, 0 .. 1.
      center_weight: float32 [height, width], 1 on every pixel but void and crowd.
      offset: float32 [height, width, 2], (y, x) pixels from the pixel to its instance's center.
      offset_weight: float32 [height, width], 1 on thing pixels that are not crowd.
    """

    semantic: Array
    semantic_weight: Array
    center: Array
    center_weight: Array
    offset: Array
    offset_weight: Array


class MaskTargets(NamedTuple):
    """Training targets of a mask transformer for one image (or for a batch: one more leading axis).

    Attributes:
      semantic: int32 [height, width], class ids; void and crowd pixels hold the ignore label.
      semantic_weight: float32 [height, width].
      thing_id_mask: int32 [height, width], index of the thing that a pixel belongs to, -1 for none.
      thing_id_class: int32 [max_things], the class of each thing, -1 after the last.
      key: int32 [2], decides what the losses draw at random; None is as good as zeros.
    """

    semantic: Array
    semantic_weight: Array
    thing_id_mask: Array
    thing_id_class: Array
    key: Array | None = None


class Heads(NamedTuple):
    """Outputs of the network.

    Attributes:
      semantic_logits: float32 [batch, height, width, num_classes].
      center_heatmap: float32 [batch, height, width, 1], linear, or None without an instance branch.
      offset: float32 [batch, height, width, 2], (y, x) in pixels of this very resolution, or None.
    """

    semantic_logits: Array
    center_heatmap: Array | None
    offset: Array | None


class MaskHeads(NamedTuple):
    """Outputs of a mask transformer: a set of masks, each with a class.

    Attributes:
      mask_logits: float32 [batch, height, width, slots]; their softmax is how much a pixel belongs to a slot.
      class_logits: float32 [batch, slots, classes + 1]: thing classes, then stuff classes, both ascending and
        without the ignore label, and void last.
      pixel_feature: float32 [batch, height, width, channels] of unit length.
      semantic_logits: float32 [batch, h, w, num_classes], at a resolution of their own; None in auxiliary
        heads.
    """

    mask_logits: Array
    class_logits: Array
    pixel_feature: Array
    semantic_logits: Array | None


class MaskTrainingHeads(NamedTuple):
    """Outputs of a mask transformer in training (`model(images, training=True)`).

    Attributes:
      main: as in inference.
      auxiliary: one for each transformer layer, first to last, without semantic logits; masks and features
        are resized to those of `main`, and features have unit length no longer.
    """

    main: MaskHeads
    auxiliary: tuple[MaskHeads, ...]


class Prediction(NamedTuple):
    """The result of post-processing.

    A mask transformer's things bear the number of their slot, and so do `instance` and `score`: see
    `postprocess.masks`.

    Attributes:
      panoptic: int32 [batch, height, width], `class * label_divisor + number`. The class of a thing is that
        of most of its pixels; things of a class are numbered from 1, stuff has 0. Void is
        `ignore_label * label_divisor`.
      semantic: int32 [batch, height, width], each pixel's own class id.
      instance: int32 [batch, height, width], 1 + index of the pixel's center, 0 on stuff.
      score: float32 [batch, height, width], heat-map value of the pixel's center, 0 on stuff.
    """

    panoptic: Array
    semantic: Array
    instance: Array
    score: Array


AnyTargets = Targets | MaskTargets
AnyHeads = Heads | MaskHeads | MaskTrainingHeads
