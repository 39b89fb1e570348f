# SPDX-License-Identifier: Apache-2.0
"""How a decoded record becomes a picture and its targets: the numbers, and the steps for one record."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, Self

import tensorflow as tf

from panpipe.model import config, datasets, tensors
from panpipe.model import labels as label_codec
from panpipe.model.experiment import names
from panpipe.model.inputs import augment, autoaugment, decode, mask_targets, paste, resize
from panpipe.model.inputs import targets as targets_lib


class Pasting(NamedTuple):
    """Sets what is pasted, from samples whose random scales are multiplied by `scale`."""

    scale: float
    choice: paste.Choice


@dataclasses.dataclass(frozen=True)
class Recipe:
    """States how a decoded record becomes a sample.

    Attributes:
      labels: what the label integers mean.
      crop_size: (height, width) of the network's input.
      min_size: as in `resize.fit`.
      max_size: as in `resize.fit`.
      factor: as in `resize.fit`.
      scales: of random scaling.
      policy: of random changes of colour, or None.
      sigma: of the Gaussian at a center.
      small_instance_threshold: in pixels.
      small_instance_weight: of instances below the threshold.
      max_things: the most things of an image, for a mask transformer; 0 for another network.
      pasting: what is pasted of a second sample, for which `second` is the recipe, or None.
      padding: panoptic id of what surrounds a training sample's visible part.
    """

    labels: label_codec.LabelSpec
    crop_size: resize.Size
    min_size: resize.Size | None
    max_size: resize.Size | None
    factor: int
    scales: augment.Scales
    policy: autoaugment.Policy | None
    sigma: float
    small_instance_threshold: int
    small_instance_weight: float
    max_things: int
    pasting: Pasting | None
    padding: int

    @property
    def is_resized(self) -> bool:
        """Whether training samples are resized at all before augmentation."""
        return self.min_size is not None or self.max_size is not None

    def targets(self, panoptic: tf.Tensor, key: tf.Tensor) -> tensors.AnyTargets:
        """Computes the targets of a panoptic map, or of a batch, of the network's input size.

        Args:
          panoptic: int32 [height, width] or [batch, height, width].
          key: int32 [2] or [batch, 2], decides what losses draw at random.
        """
        if self.max_things:
            masks = mask_targets.targets(
                panoptic,
                self.labels,
                max_things=self.max_things,
                small_instance_threshold=self.small_instance_threshold,
                small_instance_weight=self.small_instance_weight,
            )
            return masks._replace(key=key)
        return targets_lib.targets(
            panoptic,
            self.labels,
            sigma=self.sigma,
            small_instance_threshold=self.small_instance_threshold,
            small_instance_weight=self.small_instance_weight,
        )

    def second(self) -> Self:
        """Returns the recipe of the samples that segments are pasted from."""
        if self.pasting is None:
            raise ValueError('nothing is pasted (pasting is None)')
        scales = self.scales
        smaller = augment.Scales(
            scales.smallest * self.pasting.scale, scales.largest * self.pasting.scale, scales.step
        )
        return dataclasses.replace(self, scales=smaller, padding=paste.padding(self.labels))


def from_options(options: config.DatasetOptions, model_options: config.ModelOptions) -> Recipe:
    """Makes the recipe for a network and a data set."""
    height, width = options.crop_size
    labels = datasets.find(options.dataset).labels
    random = options.augmentations
    # As published, semantic-only training has no instance weights.
    weighs_small = options.increase_small_instance_weights and not model_options.is_semantic_only
    return Recipe(
        labels=labels,
        crop_size=(height, width),
        min_size=_limit(options.min_resize_value),
        max_size=_limit(options.max_resize_value),
        factor=options.resize_factor,
        scales=augment.Scales(
            random.min_scale_factor, random.max_scale_factor, random.scale_factor_step_size
        ),
        policy=_policy(random.autoaugment_policy_name),
        sigma=options.sigma,
        small_instance_threshold=options.small_instance_threshold if weighs_small else 0,
        small_instance_weight=options.small_instance_weight if weighs_small else 1.0,
        max_things=options.max_thing_id if model_options.has_masks else 0,
        pasting=_pasting(random.panoptic_copy_paste),
        padding=labels.void,
    )


def _policy(name: str) -> autoaugment.Policy | None:
    """Finds a policy of random changes of colour; '' stands for none."""
    if not name:
        return None
    found: autoaugment.Policy = names.find('autoaugment_policy_name', name, names.AUTOAUGMENT_POLICIES)
    return found


def _pasting(options: config.PanopticCopyPasteOptions | None) -> Pasting | None:
    if options is None or options.panoptic_copy_paste_scale <= 0:
        return None
    choice = paste.Choice(
        options.panoptic_copy_paste_thing_option,
        options.panoptic_copy_paste_stuff_option,
        options.panoptic_copy_paste_void_option,
    )
    return Pasting(options.panoptic_copy_paste_scale, choice)


def _limit(size: Sequence[int]) -> resize.Size | None:
    """Turns a size of the configuration into (height, width): one value serves both, a value <= 0 is none."""
    if not size or min(size) <= 0:
        return None
    return size[0], size[-1]


def picture(serialized: tf.Tensor, key: tf.Tensor, recipe: Recipe) -> paste.Picture:
    """Makes a training picture of the network's input size.

    Args:
      serialized: a record.
      key: int64 [2], decides all that is random.
      recipe: how.
    """
    _, image, panoptic = decode.decode(serialized, with_labels=True)
    size = tf.shape(panoptic)
    if recipe.is_resized:
        size = resize.fit(size[0], size[1], recipe.min_size, recipe.max_size, recipe.factor)
        image = resize.bilinear(image, size[0], size[1])
        panoptic = resize.nearest(panoptic, size[0], size[1])
    scaled = augment.draw_size(key, size[0], size[1], recipe.scales)
    if recipe.policy is not None:
        # The operations look at the whole scaled image, at its histogram for one.
        image = autoaugment.recolor(resize.bilinear(image, scaled[0], scaled[1]), key, recipe.policy)
    window = augment.draw_window(key, scaled, recipe.crop_size)
    image = augment.cut_image(image, window, recipe.crop_size)
    panoptic = augment.cut_label(panoptic, window, recipe.crop_size, recipe.padding)
    return paste.Picture(image, panoptic)


def pasted_picture(
    first: tuple[tf.Tensor, tf.Tensor], second: tuple[tf.Tensor, tf.Tensor], recipe: Recipe
) -> paste.Picture:
    """Makes a training picture with segments of another one pasted on it.

    Args:
      first: a record and its key.
      second: the record that segments come from, and its key, which decides which ones as well.
      recipe: how; it says what is pasted.
    """
    if recipe.pasting is None:
        return picture(*first, recipe)
    under, over = picture(*first, recipe), picture(*second, recipe.second())
    return paste.paste(under, over, second[1], recipe.labels, recipe.pasting.choice)
