// SPDX-License-Identifier: Apache-2.0
// Included once for each kind of processor, in a namespace of its own, by mask_kernels.h, which says how many numbers a
// vector has there: PANPIPE_LANES. There are no templates here, because those would be compiled for the least processor.

constexpr int kLanes = PANPIPE_LANES;
typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef uint32_t Bits __attribute__((vector_size(4 * kLanes)));

inline Floats Load(const float* from) {
  Floats values;
  std::memcpy(&values, from, sizeof(values));
  return values;
}

inline void Store(const Floats& values, float* to) { std::memcpy(to, &values, sizeof(values)); }

// As Lerp.
inline Floats Between(Floats from, Floats to, Floats lerp) { return from + (to - from) * lerp; }

// e^x for x <= 0, and 0 below e^-20.
inline Floats Exponential(Floats x) {
  constexpr float kShift = 0x1.8p23f;  // the sum with a small number is a whole one
  const Floats power = x * 1.4426950408889634f;
  const Floats shifted = power + kShift;
  const Floats rest = power - (shifted - kShift);
  Floats value = rest * 0.00132647273130715f + 0.00967151299118996f;
  value = value * rest + 0.055507335811853f;
  value = value * rest + 0.240222424268723f;
  value = value * rest + 0.693147003650665f;
  value = value * rest + 1.0f;
  // The lowest bits of what was shifted are the whole power of two, which joins the exponent.
  Bits bits, exponent;
  std::memcpy(&bits, &value, sizeof(bits));
  std::memcpy(&exponent, &shifted, sizeof(exponent));
  bits = (bits + (exponent << 23)) & ~reinterpret_cast<Bits>(x < kLeastExponent);
  std::memcpy(&value, &bits, sizeof(bits));
  return value;
}

// Adds up partial sums as AddUp does, in place.
inline Floats AddUpLanes(Floats* parts) {
  for (int distance = kParts / 2; distance > 0; distance /= 2) {
    for (int i = 0; i < distance; ++i) parts[i] += parts[i + distance];
  }
  return parts[0];
}

// Looks at strips of rows of one image. kLanes pixels are computed at a time.
class MaskPixels {
 public:
  // is_alive [slots] says which slots take part; threshold is what the probability of a slot that passes exceeds.
  MaskPixels(const MaskMaps& maps, const Resizing& resizing, const bool* is_alive, float threshold)
      : maps_(maps),
        resizing_(resizing),
        threshold_(threshold),
        // A term is larger than its probability. What is just below the threshold is computed, too.
        least_rival_(threshold > 0 ? std::log(threshold) - 0.01f : kLeastExponent),
        are_all_alive_(std::all_of(is_alive, is_alive + maps.slots, [](bool is) { return is; })),
        is_alive_(is_alive, is_alive + maps.slots),
        padded_((maps.slots + kLanes - 1) / kLanes * kLanes),
        highest_(padded_),
        lowest_(padded_),
        used_(maps.slots),
        tops_(maps.slots * kLanes),
        bottoms_(maps.slots * kLanes) {
    for (std::vector<float>& corner : copies_) corner.resize(padded_);
    for (std::vector<int32_t>* list : {&leaders_, &alive_leaders_, &terms_, &rivals_}) list->reserve(maps.slots);
  }

  // Hands over the blocks of rows [begin, end), which share their lower row of the logits.
  void VisitStrip(int64_t begin, int64_t end, BlockTaker* taker) {
    const int64_t width = resizing_.xs.size();
    const int64_t lower = resizing_.ys[begin].lower, upper = std::min(lower + 1, resizing_.height - 1);
    for (int64_t x = 0; x < width;) {
      const int64_t left = resizing_.xs[x].lower, right = std::min(left + 1, resizing_.width - 1);
      int64_t stop = x + 1;
      while (stop < width && resizing_.xs[stop].lower == left) ++stop;
      corners_[0] = Corner(lower, left);
      corners_[1] = Corner(lower, right);
      corners_[2] = Corner(upper, left);
      corners_[3] = Corner(upper, right);
      FindCandidates();
      block_.pitch = 1;
      while (block_.pitch < stop - x && block_.pitch < kLanes) block_.pitch *= 2;
      for (; x < stop; x += block_.columns) {
        block_.x = x;
        block_.columns = static_cast<int>(std::min<int64_t>(block_.pitch, stop - x));
        ResizeAlong();
        for (int64_t y = begin; y < end; y += block_.rows) {
          block_.y = y;
          block_.rows = static_cast<int>(std::min<int64_t>(kLanes / block_.pitch, end - y));
          Look();
          taker->Take(block_);
        }
      }
    }
  }

 private:
  static constexpr int kCorners = 4;

  const float* Corner(int64_t y, int64_t x) const { return maps_.logits + (y * maps_.width + x) * maps_.slots; }

  static float Largest(const Floats& values) {
    float largest = values[0];
    for (int i = 1; i < kLanes; ++i) largest = std::max(largest, values[i]);
    return largest;
  }

  // Replaces the corners by copies that are clamped, and filled up with the first slot.
  void CopyCorners() {
    for (int i = 0; i < kCorners; ++i) {
      for (int64_t k = 0; k < padded_; ++k) copies_[i][k] = Clamped(corners_[i][k < maps_.slots ? k : 0]);
      corners_[i] = copies_[i].data();
    }
  }

  // Finds the largest and the smallest corner of each slot; returns the largest size of a logit, or infinity if a logit
  // would have to be clamped.
  float ReadCorners() {
    Floats size = {};
    Ints is_tame = ~Ints{};
    for (int64_t k = 0; k < padded_; k += kLanes) {
      Floats high = Load(corners_[0] + k), low = high;
      is_tame &= high == high;
      for (int i = 1; i < kCorners; ++i) {
        const Floats value = Load(corners_[i] + k);
        high = value > high ? value : high;
        low = value < low ? value : low;
        is_tame &= value == value;
      }
      Store(high, &highest_[k]);
      Store(low, &lowest_[k]);
      size = high > size ? high : size;
      size = -low > size ? -low : size;
    }
    bool is_number = true;
    for (int i = 0; i < kLanes; ++i) is_number &= is_tame[i] != 0;
    const float largest = Largest(size);
    return is_number && largest <= kLargestLogit ? largest : std::numeric_limits<float>::infinity();
  }

  // Lists the slots that matter on the cell.
  void FindCandidates() {
    if (padded_ != maps_.slots) CopyCorners();
    float magnitude = ReadCorners();
    if (!(magnitude <= kLargestLogit)) {
      CopyCorners();
      magnitude = ReadCorners();
    }
    const float margin = Margin(magnitude);
    float reached = -std::numeric_limits<float>::infinity(), reached_alive = reached;
    if (are_all_alive_) {
      Floats most = Floats{} + reached;
      for (int64_t k = 0; k < padded_; k += kLanes) {
        const Floats low = Load(&lowest_[k]);
        most = low > most ? low : most;
      }
      reached = reached_alive = Largest(most);
    } else {
      for (int64_t k = 0; k < maps_.slots; ++k) {
        reached = std::max(reached, lowest_[k]);
        if (is_alive_[k]) reached_alive = std::max(reached_alive, lowest_[k]);
      }
    }
    ListCandidates(reached - margin, reached_alive - margin);
  }

  void ListCandidates(float least, float least_alive) {
    constexpr float kSlack = 0.01f;  // more than rounding takes of differences that size
    const float least_term = least_alive + (kLeastExponent - kSlack);
    const float least_used = std::min(least, least_term);
    leaders_.clear();
    alive_leaders_.clear();
    terms_.clear();
    rivals_.clear();
    num_used_ = 0;
    for (int64_t k = 0; k < maps_.slots; ++k) {
      used_[num_used_] = static_cast<int32_t>(k);
      num_used_ += highest_[k] >= least_used;
    }
    for (int32_t i = 0; i < num_used_; ++i) {
      const int32_t k = used_[i];
      const float high = highest_[k];
      if (high >= least) leaders_.push_back(i);
      if (!is_alive_[k] || high < least_term) continue;
      terms_.push_back(i);
      if (high >= least_alive + least_rival_) rivals_.push_back(i);
      if (high >= least_alive) alive_leaders_.push_back(i);
    }
  }

  // Resizes along the rows, for the columns of the block.
  void ResizeAlong() {
    Floats across;
    for (int j = 0; j < kLanes; ++j) {
      across[j] = resizing_.xs[block_.x + std::min(j % block_.pitch, block_.columns - 1)].lerp;
    }
    for (int32_t i = 0; i < num_used_; ++i) {
      const int32_t k = used_[i];
      Store(Between(Floats{} + corners_[0][k], Floats{} + corners_[1][k], across), &tops_[i * kLanes]);
      Store(Between(Floats{} + corners_[2][k], Floats{} + corners_[3][k], across), &bottoms_[i * kLanes]);
    }
  }

  Floats ValueOf(int32_t i, Floats down) const {
    return Between(Load(&tops_[i * kLanes]), Load(&bottoms_[i * kLanes]), down);
  }

  // Finds the slot of the largest logit among those listed, and that logit.
  Floats FindBest(const std::vector<int32_t>& listed, Floats down, int32_t* slot) const {
    Floats best = Floats{} - std::numeric_limits<float>::infinity();
    Ints index = {};
    for (const int32_t i : listed) {
      const Floats value = ValueOf(i, down);
      const Ints is_better = value > best;
      best = is_better ? value : best;
      index = is_better ? Ints{} + used_[i] : index;
    }
    std::memcpy(slot, &index, sizeof(index));
    return best;
  }

  Floats Term(int32_t i, Floats down, Floats best) const {
    return Exponential(ValueOf(i, down) - best);
  }

  // Computes the block.
  void Look() {
    Floats down;
    for (int j = 0; j < kLanes; ++j) {
      down[j] = resizing_.ys[block_.y + std::min(j / block_.pitch, block_.rows - 1)].lerp;
    }
    const Floats first = FindBest(leaders_, down, block_.likeliest);
    Floats best = first;
    if (are_all_alive_) {
      std::memcpy(block_.slot, block_.likeliest, kLanes * sizeof(int32_t));
    } else {
      best = FindBest(alive_leaders_, down, block_.slot);
    }
    const Ints leads = best == first;
    std::memcpy(block_.leads, &leads, sizeof(leads));
    Floats parts[kParts] = {};
    if (are_all_alive_) {
      for (int32_t i = 0; i < num_used_; ++i) parts[used_[i] % kParts] += Term(i, down, best);
    } else {
      for (const int32_t i : terms_) parts[used_[i] % kParts] += Term(i, down, best);
    }
    const Floats total = AddUpLanes(parts);
    const Floats score = 1.0f / total;
    Store(score, block_.score);
    // All other terms together are total - 1. The margin is larger than their rounding.
    const Ints is_open = (total * (1.0f - threshold_ + 0x1p-16f) >= 1.0f) & (score > threshold_);
    block_.has_rivals = false;
    for (int j = 0; j < kLanes; ++j) block_.has_rivals |= is_open[j] != 0;
    if (block_.has_rivals) ListPassing(down, best, total);
  }

  void ListPassing(Floats down, Floats best, Floats total) {
    for (int j = 0; j < kLanes; ++j) block_.passing[j].clear();
    for (const int32_t i : rivals_) {
      const Ints passes = Term(i, down, best) / total > threshold_;
      for (int j = 0; j < kLanes; ++j) {
        if (passes[j]) block_.passing[j].push_back(used_[i]);
      }
    }
  }

  const MaskMaps& maps_;
  const Resizing& resizing_;
  const float threshold_, least_rival_;
  const bool are_all_alive_;
  std::vector<uint8_t> is_alive_;
  int64_t padded_;  // slots, up to whole vectors
  std::vector<float> highest_, lowest_;
  std::vector<float> copies_[kCorners];
  const float* corners_[kCorners];
  // The slots that matter on the cell. The other lists index this one.
  std::vector<int32_t> used_;
  int32_t num_used_ = 0;
  std::vector<int32_t> leaders_, alive_leaders_, terms_, rivals_;
  std::vector<float> tops_, bottoms_;  // kLanes each, at the upper and the lower end of the block's columns
  PixelBlock block_;
};


// Adds pixels [begin, end) of logits [pixels, slots]. kLanes slots are computed at a time.
inline void AddConfidences(const float* logits, int64_t slots, int64_t begin, int64_t end, float threshold,
                           ConfidenceSums* sums) {
  static_assert(kParts % kLanes == 0, "a slot's partial sum is its lane");
  const int64_t padded = (slots + kParts - 1) / kParts * kParts;
  // Beyond the slots, infinitely small logits, whose terms are 0.
  std::vector<float> values(padded, -std::numeric_limits<float>::infinity()), terms(padded);
  for (int64_t pixel = begin; pixel < end; ++pixel) {
    const float* from = logits + pixel * slots;
    for (int64_t k = 0; k < slots; ++k) values[k] = Clamped(from[k]);
    Floats best = Load(&values[0]);
    for (int64_t k = kLanes; k < padded; k += kLanes) {
      const Floats value = Load(&values[k]);
      best = value > best ? value : best;
    }
    float top = best[0];
    for (int i = 1; i < kLanes; ++i) top = std::max(top, best[i]);
    float parts[kParts] = {};
    for (int64_t k = 0; k < padded; k += kLanes) {
      const Floats term = Exponential(Load(&values[k]) - top);
      Store(term, &terms[k]);
      Store(Load(parts + k % kParts) + term, parts + k % kParts);
    }
    const float total = AddUp(parts);
    // What is clearly below the threshold needs no division.
    const float least = total * threshold * (1 - 0x1p-18f);
    for (int64_t k = 0; k < slots; ++k) {
      if (!(terms[k] >= least)) continue;
      const float probability = terms[k] / total;
      if (!(probability > threshold)) continue;
      sums->steps[k] += static_cast<int64_t>(std::nearbyint(probability * static_cast<float>(kSteps)));
      ++sums->pixels[k];
    }
  }
}
