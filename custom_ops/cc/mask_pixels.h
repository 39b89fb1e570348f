// SPDX-License-Identifier: Apache-2.0
// To what slots the pixels of an image belong: the softmax over slots of bilinearly resized mask logits, at full
// resolution, of which only the terms that count are computed, a few pixels at a time.
//
// A cell lies between four pixels of the logits. On all of it, no slot exceeds the largest of its four corners, and the
// best slot is not below any slot's smallest corner: so a slot whose largest corner is far enough below has a term of 0
// (see exponential.h), and one that is below at all does not lead. As in semantic.h, the computed values keep such an
// order where the difference exceeds a margin.
#ifndef PANPIPE_CUSTOM_OPS_CC_MASK_PIXELS_H_
#define PANPIPE_CUSTOM_OPS_CC_MASK_PIXELS_H_

#include <cstdint>
#include <vector>

namespace panpipe {

struct MaskMaps {
  const float* logits;  // [height, width, slots]
  int64_t height, width, slots;
};

// What is known of pixels [y, y + rows) x [x, x + columns). Of row i and column j, it stands at i * pitch + j.
struct PixelBlock {
  static constexpr int kMost = 16;

  int64_t y, x;
  int rows, columns, pitch;
  int32_t likeliest[kMost];  // slot of the largest logit
  int32_t slot[kMost];       // the same among the slots that are alive
  float score[kMost];        // its probability among those
  int32_t leads[kMost];      // whether no slot has a larger logit
  // Of the pixels where slots other than the likeliest may exceed the threshold, those that do, ascending.
  bool has_rivals;
  std::vector<int32_t> passing[kMost];
};

// Is handed blocks.
class BlockTaker {
 public:
  virtual ~BlockTaker() = default;
  virtual void Take(const PixelBlock& block) = 0;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_MASK_PIXELS_H_
