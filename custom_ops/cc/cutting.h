// SPDX-License-Identifier: Apache-2.0
// Scales, crops, pads and flips images and label maps in one pass, in the arithmetic of TensorFlow's resizing with
// aligned corners: nothing is computed but the pixels that are shown, and each is written once.
#ifndef PANPIPE_CUSTOM_OPS_CC_CUTTING_H_
#define PANPIPE_CUSTOM_OPS_CC_CUTTING_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "bilinear.h"

namespace panpipe {

struct Size {
  int64_t y, x;
};

// Which part of a scaled image is shown, and where: `augment.Window`.
struct Window {
  Size scaled;   // positive
  Size start;    // the first visible pixel in the scaled image
  Size visible;  // within the scaled image
  Size offset;   // the first visible pixel in the crop; visible pixels lie within it
  Size crop;
  bool is_flipped;  // the crop with its padding

  // The first visible column of the crop.
  int64_t left() const { return is_flipped ? crop.x - offset.x - visible.x : offset.x; }
  bool is_visible(int64_t y) const { return y >= offset.y && y < offset.y + visible.y; }
  int64_t scaled_row(int64_t y) const { return start.y + y - offset.y; }
};

// What is known of each of `visible` pixels from `start` on, turned round if the crop is.
template <typename Item>
std::vector<Item> Shown(const std::vector<Item>& all, int64_t start, int64_t visible, bool is_flipped) {
  std::vector<Item> shown(all.begin() + start, all.begin() + start + visible);
  if (is_flipped) std::reverse(shown.begin(), shown.end());
  return shown;
}

// Pads a row of the crop, of `channels` values a pixel, on both sides of what is visible.
template <typename Value>
void PadSides(const Window& window, int64_t channels, Value padding, Value* row) {
  const int64_t begin = window.left() * channels, end = (window.left() + window.visible.x) * channels;
  std::fill(row, row + begin, padding);
  std::fill(row + end, row + window.crop.x * channels, padding);
}

// Cuts rows, from the top to the bottom, of images [size.y, size.x, 3].
template <typename Value>
class ImageCutter {
 public:
  static constexpr int64_t kChannels = 3;

  ImageCutter(const Value* image, Size size, const Window& window, float padding)
      : image_(image),
        size_(size),
        window_(window),
        padding_(padding),
        is_copy_(size.y == window.scaled.y && size.x == window.scaled.x),
        ys_(Taps(size.y, window.scaled.y)),
        xs_(Shown(Taps(size.x, window.scaled.x), window.start.x, window.visible.x, window.is_flipped)),
        row_(size.x * kChannels + kLanes) {
    for (std::vector<float>& line : lines_) line.resize(window.visible.x * kChannels + kLanes);
  }

  // Writes row y of the crop, [crop.x, 3].
  void Write(int64_t y, float* row) {
    const int64_t count = window_.visible.x * kChannels;
    if (!window_.is_visible(y)) {
      std::fill(row, row + window_.crop.x * kChannels, padding_);
      return;
    }
    PadSides(window_, kChannels, padding_, row);
    row += window_.left() * kChannels;
    if (is_copy_) {
      Copy(image_ + (window_.scaled_row(y) * size_.x + window_.start.x) * kChannels, row);
      return;
    }
    const Tap tap = ys_[window_.scaled_row(y)];
    const float* top = Line(tap.lower);
    const float* bottom = Line(tap.upper);
    for (int64_t i = 0; i < count; ++i) row[i] = Lerp(top[i], bottom[i], tap.lerp);
  }

 private:
  // A pixel is read and written as four values: the fourth is the next pixel's, which is written after it.
  static constexpr int64_t kLanes = 4;
  typedef float Floats __attribute__((vector_size(4 * kLanes)));

  static Floats Load(const float* pixel) {
    Floats values;
    std::memcpy(&values, pixel, sizeof(values));
    return values;
  }

  // Writes the visible pixels of an unscaled row.
  void Copy(const Value* from, float* row) const {
    if (!window_.is_flipped) {
      std::copy(from, from + window_.visible.x * kChannels, row);
      return;
    }
    for (int64_t x = window_.visible.x - 1; x >= 0; --x, row += kChannels) {
      std::copy(from + x * kChannels, from + (x + 1) * kChannels, row);
    }
  }

  // The visible part of a row of the image, scaled along itself. Two that follow one another differ in parity.
  const float* Line(int64_t y) {
    std::vector<float>& line = lines_[y % 2];
    if (held_[y % 2] == y) return line.data();
    held_[y % 2] = y;
    const Value* from = image_ + y * size_.x * kChannels;
    std::copy(from, from + size_.x * kChannels, row_.begin());
    float* to = line.data();
    for (const Tap& tap : xs_) {
      const Floats left = Load(&row_[tap.lower * kChannels]);
      const Floats value = Lerp(left, Load(&row_[tap.upper * kChannels]), Floats{} + tap.lerp);
      std::memcpy(to, &value, sizeof(value));
      to += kChannels;
    }
    return line.data();
  }

  const Value* image_;
  Size size_;
  const Window window_;
  float padding_;
  bool is_copy_;  // then nothing is computed, which is not the same where a value is infinite
  std::vector<Tap> ys_, xs_;
  std::vector<float> row_;  // of the image, with room for the fourth value of its last pixel
  std::vector<float> lines_[2];
  int64_t held_[2] = {-1, -1};
};

// The nearest pixel of the source for each of the result, halves rounded up.
inline std::vector<int64_t> NearestPixels(int64_t in_size, int64_t out_size) {
  std::vector<int64_t> nearest;
  for (const Tap& tap : Taps(in_size, out_size)) {
    nearest.push_back(std::min(tap.lower + (tap.lerp >= 0.5f ? 1 : 0), in_size - 1));
  }
  return nearest;
}

// Cuts rows, from the top to the bottom, of label maps [size.y, size.x].
class LabelCutter {
 public:
  LabelCutter(const int32_t* label, Size size, const Window& window, int32_t padding)
      : label_(label),
        size_(size),
        window_(window),
        padding_(padding),
        ys_(NearestPixels(size.y, window.scaled.y)),
        xs_(Shown(NearestPixels(size.x, window.scaled.x), window.start.x, window.visible.x, window.is_flipped)) {}

  // Writes row y of the crop; the row that was written before it is still there.
  void Write(int64_t y, int32_t* row) {
    if (!window_.is_visible(y)) {
      std::fill(row, row + window_.crop.x, padding_);
      return;
    }
    const int64_t source = ys_[window_.scaled_row(y)];
    if (source == written_source_) {
      std::copy(written_, written_ + window_.crop.x, row);
      return;
    }
    PadSides(window_, 1, padding_, row);
    const int32_t* from = label_ + source * size_.x;
    int32_t* to = row + window_.left();
    for (const int64_t x : xs_) *to++ = from[x];
    written_source_ = source;
    written_ = row;
  }

 private:
  const int32_t* label_;
  Size size_;
  const Window window_;
  int32_t padding_;
  std::vector<int64_t> ys_, xs_;
  int64_t written_source_ = -1;
  const int32_t* written_ = nullptr;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUTTING_H_
