// SPDX-License-Identifier: Apache-2.0
// Gives thing pixels the number of their nearest center.
//
// The image is cut into square tiles, each with the list of centers that may be nearest to a point of it. A center is
// left out where another one is nearer at all four corners of the tile: the difference of two squared distances is
// linear, so it is then nearer all over the tile. That must also hold of distances in float32, whose relative error
// is at most 4 u, u = 2^-24; hence the difference must exceed 2^-20 of the larger distance. Lists come from halving
// the image again and again, so that each center is looked at only about where it counts.
#ifndef PANPIPE_CUSTOM_OPS_CC_GROUPING_H_
#define PANPIPE_CUSTOM_OPS_CC_GROUPING_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "centers.h"
#include "nearest.h"

namespace panpipe {

class NearestCenter {
 public:
  // Centers lie within the image, height and width are below 2^24.
  NearestCenter(const std::vector<Center>& centers, int64_t height, int64_t width) {
    for (const Center& center : centers) {
      ys_.push_back(static_cast<float>(center.y));
      xs_.push_back(static_cast<float>(center.x));
      values_.push_back(center.value);
    }
    const int64_t wanted = 8 * static_cast<int64_t>(centers.size());
    while (side_ > kSmallestSide && (height / side_) * (width / side_) < wanted) side_ /= 2;
    rows_ = (height + side_ - 1) / side_;
    columns_ = (width + side_ - 1) / side_;
    bottom_ = static_cast<float>(height + kBorder);
    right_ = static_cast<float>(width + kBorder);
    tiles_.resize(rows_ * columns_);
    std::vector<int32_t> all(centers.size());
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
    if (!centers.empty()) Divide({0, rows_, 0, columns_}, all);
  }

  // What is looked up; it lies in this object.
  CenterLists lists() const {
    return {{ys_.data(), xs_.data(), values_.data()},
            tiles_.data(),
            indices_.data(),
            static_cast<int64_t>(ys_.size()),
            static_cast<int64_t>(indices_.size()),
            side_,
            rows_,
            columns_,
            bottom_,
            right_};
  }

 private:
  static constexpr int64_t kSmallestSide = 4;
  static constexpr float kBorder = CenterLists::kBorder;

  using List = CenterLists::List;
  struct Tiles {
    int64_t top, bottom, left, right;
  };
  struct Box {
    double top, bottom, left, right;
  };

  void Divide(const Tiles& tiles, const std::vector<int32_t>& candidates) {
    const std::vector<int32_t> kept = Filter(Cover(tiles), candidates);
    const int64_t height = tiles.bottom - tiles.top, width = tiles.right - tiles.left;
    if (kept.size() == 1 || (height == 1 && width == 1)) {
      const List list = {static_cast<int64_t>(indices_.size()), static_cast<int64_t>(kept.size())};
      indices_.insert(indices_.end(), kept.begin(), kept.end());
      for (int64_t row = tiles.top; row < tiles.bottom; ++row) {
        std::fill_n(tiles_.begin() + row * columns_ + tiles.left, width, list);
      }
      return;
    }
    Tiles first = tiles, second = tiles;
    if (height > width) {
      first.bottom = second.top = tiles.top + height / 2;
    } else {
      first.right = second.left = tiles.left + width / 2;
    }
    Divide(first, kept);
    Divide(second, kept);
  }

  // The points whose lists these are: with the border, where tiles lie at the edge of the image.
  Box Cover(const Tiles& tiles) const {
    return {tiles.top == 0 ? -kBorder : static_cast<double>(tiles.top * side_),
            tiles.bottom == rows_ ? bottom_ : static_cast<double>(tiles.bottom * side_),
            tiles.left == 0 ? -kBorder : static_cast<double>(tiles.left * side_),
            tiles.right == columns_ ? right_ : static_cast<double>(tiles.right * side_)};
  }

  // Drops the candidates that the one nearest to the middle beats all over the box.
  std::vector<int32_t> Filter(const Box& box, const std::vector<int32_t>& candidates) const {
    const double y = (box.top + box.bottom) / 2, x = (box.left + box.right) / 2;
    const int32_t pivot = *std::min_element(candidates.begin(), candidates.end(), [&](int32_t a, int32_t b) {
      return Distance(y, x, a) < Distance(y, x, b);
    });
    std::vector<int32_t> kept;
    for (const int32_t index : candidates) {
      bool is_beaten = index != pivot;
      for (const double corner_y : {box.top, box.bottom}) {
        for (const double corner_x : {box.left, box.right}) is_beaten &= Beats(box, corner_y, corner_x, pivot, index);
      }
      if (!is_beaten) kept.push_back(index);
    }
    return kept;
  }

  bool Beats(const Box& box, double y, double x, int32_t pivot, int32_t index) const {
    const double farthest = std::max(std::max(Distance(box.top, box.left, index), Distance(box.top, box.right, index)),
                                     std::max(Distance(box.bottom, box.left, index),
                                              Distance(box.bottom, box.right, index)));
    return Distance(y, x, index) - Distance(y, x, pivot) > 0x1p-20 * farthest;
  }

  double Distance(double y, double x, int32_t index) const {
    return (y - ys_[index]) * (y - ys_[index]) + (x - xs_[index]) * (x - xs_[index]);
  }

  std::vector<float> ys_, xs_, values_;
  int64_t side_ = 32;
  int64_t rows_, columns_;
  float bottom_, right_;
  std::vector<List> tiles_;
  std::vector<int32_t> indices_;
};

// Assigns columns [begin, end) of row y, all of them things, by their offsets [width, 2].
inline void GroupRun(const CenterLists& centers, int64_t y, int64_t begin, int64_t end, const float* offset,
                     int32_t* instance, float* score) {
  for (int64_t x = begin; x < end; ++x) {
    centers.Assign(y, x, offset[2 * x], offset[2 * x + 1], instance + x, score + x);
  }
}

struct ThingMaps {  // of one image, [height, width] each
  const float* peaks;
  const float* offset;  // with two channels
  const bool* is_thing;
  int32_t* instance;
  float* score;
  int64_t height, width;
};

// Groups the things of an image. Positive peaks are its centers, of which keep_k stay (see CenterRules).
// for_each(n, work) calls work(y) for rows y = 0 .. n - 1, in any order or at once.
template <typename ForEach>
void GroupImage(const ThingMaps& maps, int64_t keep_k, const ForEach& for_each) {
  std::vector<Center> centers;
  FindPeaks(maps.peaks, maps.height, maps.width, kPositive, 0, maps.height, &centers);
  KeepStrongest(keep_k, &centers);
  const NearestCenter nearest(centers, maps.height, maps.width);
  const CenterLists lists = nearest.lists();
  for_each(maps.height, [&](int64_t y) {
    const int64_t row = y * maps.width;
    std::fill_n(maps.instance + row, maps.width, 0);
    std::fill_n(maps.score + row, maps.width, 0.0f);
    for (int64_t x = 0; x < maps.width && lists.num_centers > 0; ++x) {
      if (maps.is_thing[row + x]) {
        GroupRun(lists, y, x, x + 1, maps.offset + 2 * row, maps.instance + row, maps.score + row);
      }
    }
  });
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_GROUPING_H_
