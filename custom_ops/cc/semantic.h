// SPDX-License-Identifier: Apache-2.0
// The class of every pixel: argmax of the bilinearly resized logits, most of which are never computed.
//
// Resizing is a convex combination of the four corners of a cell. Where one class leads at all four, it leads on the
// whole cell. The computed values are not quite convex combinations, but close: let every corner value of a cell be
// at most M in size, and u = 2^-24 be the relative error of one operation. A lerp of numbers that size is wrong by at
// most 5 u M (difference, product and sum round once each, and the difference may be 2 M), so one between two such
// lerps by 11 u M. Two classes therefore keep their order wherever they are more than 22 u M apart at every corner.
// The margin is 64 u M = 2^-18 M, and 2^-118 more for what underflows or is flushed to zero. All this needs finite
// numbers: cells with others, or with numbers large enough to overflow, are computed in full.
#ifndef PANPIPE_CUSTOM_OPS_CC_SEMANTIC_H_
#define PANPIPE_CUSTOM_OPS_CC_SEMANTIC_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "argmax.h"
#include "bilinear.h"

namespace panpipe {

constexpr float kLargestMagnitude = 1e37f;

inline float Margin(float magnitude) { return magnitude * 0x1p-18f + 0x1p-118f; }

// What is known of the pixels of one row of the source.
struct LeaderRow {
  explicit LeaderRow(int64_t width) : label(width + kLanes), lead(width + kLanes), magnitude(width + kLanes) {}

  static constexpr int kLanes = 4;  // written at a time, beyond the end of the row if need be
  std::vector<int32_t> label;       // the argmax
  std::vector<float> lead;          // by how much the best class leads the second
  std::vector<float> magnitude;     // the largest size of a logit; infinite where one is not finite
};

// Classes are compared for several pixels at a time, as argmax.h does for one.
class LeaderReader {
 public:
  LeaderReader(int64_t width, int64_t classes) : width_(width), classes_(classes) {}

  void ReadLabels(const float* logits, int32_t* label) {
    ForEachTile(logits, [&](const float* tile, int64_t x) {
      Floats best = Floats{} + std::numeric_limits<float>::lowest();
      Ints index = {};
      for (int32_t k = 0; k < classes_; ++k) {
        const Floats value = Load(tile + k);
        const Ints is_better = value > best;
        best = is_better ? value : best;
        index = is_better ? Ints{} + k : index;
      }
      std::memcpy(label + x, &index, sizeof(index));
    });
  }

  void ReadLeaders(const float* logits, LeaderRow* row) {
    ForEachTile(logits, [&](const float* tile, int64_t x) {
      Floats best = Floats{} + std::numeric_limits<float>::lowest();
      Floats second = best, magnitude = {}, spoilt = {};
      Ints index = {};
      for (int32_t k = 0; k < classes_; ++k) {
        const Floats value = Load(tile + k);
        const Ints is_better = value > best;
        second = is_better ? best : value > second ? value : second;
        best = is_better ? value : best;
        index = is_better ? Ints{} + k : index;
        const Floats size = value < 0 ? -value : value;
        magnitude = size > magnitude ? size : magnitude;
        spoilt += value * 0.0f;  // NaN as soon as one value is not finite
      }
      magnitude = spoilt == 0 ? magnitude : Floats{} + std::numeric_limits<float>::infinity();
      const Floats lead = best - second;
      std::memcpy(&row->label[x], &index, sizeof(index));
      std::memcpy(&row->lead[x], &lead, sizeof(lead));
      std::memcpy(&row->magnitude[x], &magnitude, sizeof(magnitude));
    });
  }

 private:
  static constexpr int kLanes = LeaderRow::kLanes;
  typedef float Floats __attribute__((vector_size(4 * kLanes)));
  typedef int32_t Ints __attribute__((vector_size(4 * kLanes)));

  Floats Load(const float* tile) const {
    const int64_t n = classes_;
    return Floats{tile[0], tile[n], tile[2 * n], tile[3 * n]};
  }

  // Calls read(tile, x) for pixels x .. x + kLanes - 1 of a row, the last of which may lie beyond its end.
  template <typename Read>
  void ForEachTile(const float* logits, const Read& read) {
    int64_t x = 0;
    for (; x + kLanes <= width_; x += kLanes) read(logits + x * classes_, x);
    if (x == width_) return;
    rest_.assign(kLanes * classes_, 0.0f);
    std::copy(logits + x * classes_, logits + width_ * classes_, rest_.begin());
    read(rest_.data(), x);
  }

  int64_t width_, classes_;
  std::vector<float> rest_;
};

// Labels strips of rows of the result, from the top to the bottom.
class Labeler {
 public:
  Labeler(const float* logits, int64_t classes, const Resizing& resizing)
      : logits_(logits),
        classes_(classes),
        resizing_(resizing),
        reader_(resizing.width, classes),
        leaders_{LeaderRow(resizing.width), LeaderRow(resizing.width)},
        highest_(classes),
        candidates_(classes),
        tops_(classes),
        bottoms_(classes) {}

  // Writes rows [begin, end), which share their lower row of the source, to labels [height, width].
  void WriteStrip(int64_t begin, int64_t end, int32_t* labels) {
    const int64_t width = resizing_.xs.size();
    const int64_t lower = resizing_.ys[begin].lower;
    const int64_t upper = std::min(lower + 1, resizing_.height - 1);
    int32_t* first = labels + begin * width;
    const LeaderRow& top = Leaders(lower);
    const LeaderRow& bottom = Leaders(upper);
    open_.clear();
    for (int64_t x = 0; x < width;) {
      const int64_t left = resizing_.xs[x].lower;
      const int64_t right = std::min(left + 1, resizing_.width - 1);
      int64_t stop = x + 1;
      while (stop < width && resizing_.xs[stop].lower == left) ++stop;
      const float magnitude = std::max(std::max(top.magnitude[left], top.magnitude[right]),
                                       std::max(bottom.magnitude[left], bottom.magnitude[right]));
      const float lead = std::min(std::min(top.lead[left], top.lead[right]),
                                  std::min(bottom.lead[left], bottom.lead[right]));
      const int32_t label = top.label[left];
      const int32_t differs = (label ^ top.label[right]) | (label ^ bottom.label[left]) | (label ^ bottom.label[right]);
      if (differs == 0 && magnitude < kLargestMagnitude && lead > Margin(magnitude)) {
        for (; x < stop; ++x) first[x] = label;
      } else {
        open_.push_back({x, stop, left, right, magnitude});
        x = stop;
      }
    }
    for (int64_t y = begin + 1; y < end; ++y) std::memcpy(labels + y * width, first, width * sizeof(*first));
    for (const Cell& cell : open_) WriteCell(cell, begin, end, labels);
  }

 private:
  typedef float Floats __attribute__((vector_size(16)));
  typedef int32_t Ints __attribute__((vector_size(16)));
  static constexpr int kLanes = 4;

  // Columns [begin, end) of a strip, between two columns of the source.
  struct Cell {
    int64_t begin, end;
    int64_t left, right;
    float magnitude;
  };

  const LeaderRow& Leaders(int64_t y) {
    if (held_[y % 2] != y) reader_.ReadLeaders(logits_ + y * resizing_.width * classes_, &leaders_[y % 2]);
    held_[y % 2] = y;
    return leaders_[y % 2];
  }

  const float* Corner(int64_t y, int64_t x) const { return logits_ + (y * resizing_.width + x) * classes_; }

  void WriteCell(const Cell& cell, int64_t begin, int64_t end, int32_t* labels) {
    if (cell.magnitude < kLargestMagnitude) {
      const int64_t lower = resizing_.ys[begin].lower;
      const int64_t upper = std::min(lower + 1, resizing_.height - 1);
      const float* corners[] = {Corner(lower, cell.left), Corner(lower, cell.right), Corner(upper, cell.left),
                                Corner(upper, cell.right)};
      const int64_t num_candidates = FindCandidates(corners, cell.magnitude);
      for (int64_t x = cell.begin; x < cell.end; x += kLanes) {
        WriteColumns(x, std::min(x + kLanes, cell.end), begin, end, corners, num_candidates, labels);
      }
      return;
    }
    for (int64_t y = begin; y < end; ++y) {
      for (int64_t x = cell.begin; x < cell.end; ++x) {
        labels[y * resizing_.xs.size() + x] =
            ResizedArgmax(logits_, resizing_.width, classes_, resizing_.ys[y], resizing_.xs[x]);
      }
    }
  }

  // Lists the classes, in ascending order, whose largest corner reaches the smallest corner of every other class.
  int64_t FindCandidates(const float* const corners[4], float magnitude) {
    float reached = std::numeric_limits<float>::lowest();
    for (int64_t k = 0; k < classes_; ++k) {
      const float a = corners[0][k], b = corners[1][k], c = corners[2][k], d = corners[3][k];
      highest_[k] = std::max(std::max(a, b), std::max(c, d));
      reached = std::max(reached, std::min(std::min(a, b), std::min(c, d)));
    }
    reached -= Margin(magnitude);
    int64_t count = 0;
    for (int64_t k = 0; k < classes_; ++k) {
      candidates_[count] = static_cast<int32_t>(k);
      count += highest_[k] >= reached;
    }
    return count;
  }

  // Compares the candidates on columns [x, stop) of a strip, at most kLanes. The numbers are finite, so a tap whose
  // upper is its lower needs no care: lerp is 0.
  void WriteColumns(int64_t x, int64_t stop, int64_t begin, int64_t end, const float* const corners[4],
                    int64_t num_candidates, int32_t* labels) {
    Floats across;
    for (int j = 0; j < kLanes; ++j) across[j] = resizing_.xs[std::min(x + j, stop - 1)].lerp;
    for (int64_t i = 0; i < num_candidates; ++i) {
      const int32_t k = candidates_[i];
      tops_[i] = Lerp(Floats{} + corners[0][k], Floats{} + corners[1][k], across);
      bottoms_[i] = Lerp(Floats{} + corners[2][k], Floats{} + corners[3][k], across);
    }
    for (int64_t y = begin; y < end; ++y) {
      const Floats down = Floats{} + resizing_.ys[y].lerp;
      Floats best = Floats{} + std::numeric_limits<float>::lowest();
      Ints label = {};
      for (int64_t i = 0; i < num_candidates; ++i) {
        const Floats value = Lerp(tops_[i], bottoms_[i], down);
        const Ints is_better = value > best;
        best = is_better ? value : best;
        label = is_better ? Ints{} + candidates_[i] : label;
      }
      std::memcpy(labels + y * resizing_.xs.size() + x, &label, (stop - x) * sizeof(*labels));
    }
  }

  const float* logits_;
  int64_t classes_;
  const Resizing& resizing_;
  LeaderReader reader_;
  LeaderRow leaders_[2];
  int64_t held_[2] = {-1, -1};
  std::vector<Cell> open_;  // cells of a strip on which no class leads for sure
  std::vector<float> highest_;
  std::vector<int32_t> candidates_;
  std::vector<Floats> tops_, bottoms_;
};

// Writes the labels of rows [begin, end) of the result.
inline void WriteLabels(const float* logits, int64_t classes, const Resizing& resizing, int64_t begin, int64_t end,
                        int32_t* labels) {
  const int64_t width = resizing.xs.size();
  if (resizing.is_copy) {
    LeaderReader reader(width, classes);
    std::vector<int32_t> row(width + LeaderRow::kLanes);
    for (int64_t y = begin; y < end; ++y) {
      reader.ReadLabels(logits + y * width * classes, row.data());
      std::copy_n(row.begin(), width, labels + y * width);
    }
    return;
  }
  Labeler labeler(logits, classes, resizing);
  while (begin < end) {
    const int64_t stop = resizing.StripEnd(begin, end);
    labeler.WriteStrip(begin, stop, labels);
    begin = stop;
  }
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_SEMANTIC_H_
