// SPDX-License-Identifier: Apache-2.0
// Runs on the host what GPU threads do, one after the other or in several threads, and holds it against the CPU's
// headers. Compiled with sanitizers by test_headers.py.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "cuda/predicting.h"

namespace {

using Ints = std::vector<int32_t>;
using Floats = std::vector<float>;

// The order in which threads come.
enum class Order { kForward, kBackward, kAtOnce };

// Stands in for a GPU.
class HostDevice {
 public:
  explicit HostDevice(Order order) : order_(order) {}

  template <typename T>
  T* Allocate(int64_t n) {
    memory_.emplace_back(std::malloc(n * sizeof(T)), std::free);  // of that size and no more, says the sanitizer
    std::memset(memory_.back().get(), 0xa5, n * sizeof(T));       // nobody may count on zeros
    return static_cast<T*>(memory_.back().get());
  }
  template <typename T>
  void Fill(T* to, int64_t n, int byte) {
    std::memset(static_cast<void*>(to), byte, n * sizeof(T));
  }
  template <typename T>
  T* Upload(const std::vector<T>& values) {
    T* to = Allocate<T>(values.size());
    std::copy(values.begin(), values.end(), to);
    return to;
  }
  template <typename T>
  std::vector<T> Download(const T* from, int64_t n) {
    return std::vector<T>(from, from + n);
  }
  template <typename Work>
  void ForEach(int64_t n, const Work& work) {
    if (order_ == Order::kForward) {
      for (int64_t i = 0; i < n; ++i) work(i);
    } else if (order_ == Order::kBackward) {
      for (int64_t i = n; i-- > 0;) work(i);
    } else {
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([=] {
          for (int64_t i = t; i < n; i += kThreads) work(i);
        });
      }
      for (std::thread& thread : threads) thread.join();
    }
  }
  bool is_ok() const { return true; }

 private:
  static constexpr int kThreads = 3;

  Order order_;
  std::vector<std::unique_ptr<void, void (*)(void*)>> memory_;
};

int64_t Between(int64_t smallest, int64_t largest) { return smallest + std::rand() % (largest - smallest + 1); }

template <typename T>
T OneOf(const std::vector<T>& values) {
  return values[std::rand() % values.size()];
}

Ints MergeOnHost(const Ints& semantic, const Ints& instance, const panpipe::MergeRules& rules) {
  panpipe::Band band;
  panpipe::ReadBand(semantic.data(), instance.data(), 0, semantic.size(), &band);
  panpipe::NumberSegments(&band, &band + 1, rules);
  Ints panoptic(semantic.size());
  panpipe::WriteBand(band, semantic.size(), panoptic.data());
  return panoptic;
}

panpipe::MergeRules DrawRules() {
  return {OneOf<Ints>({{}, {3}, {3, 5, 9}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}), OneOf<int32_t>({1, 2, 50, 1000}),
          OneOf<int32_t>({0, 3, 40}), OneOf<int32_t>({0, 3, 255})};
}

// `ids` tells how many instances there are; many of them need a larger table than the first.
bool MergeIsRight(Order order, int64_t pixels, int run, int ids) {
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  Ints semantic, instance;
  for (int64_t i = 0; i < pixels; ++i) {
    const bool is_new = i == 0 || std::rand() % run == 0;
    semantic.push_back(is_new ? std::rand() % 12 : semantic.back());
    instance.push_back(is_new ? OneOf<int32_t>({std::rand() % ids, -std::rand() % ids, kMost, -kMost - 1})
                              : instance.back());
  }
  const panpipe::MergeRules rules = DrawRules();
  Ints panoptic(pixels);
  HostDevice device(order);
  const panpipe::MergeOnDevice<HostDevice> merge(&device, rules);
  int32_t bad = 0;
  if (!merge.Merge({semantic.data(), instance.data(), panoptic.data(), pixels}, &bad)) return false;
  if (panoptic != MergeOnHost(semantic, instance, rules)) return false;
  if (pixels < 3) return true;
  // The first bad label counts, whichever thread says so first.
  const int32_t largest = static_cast<int32_t>(rules.largest_label());
  semantic[pixels / 2] = rules.label_divisor == 1 ? -5 : largest + 1;
  semantic[pixels - 1] = -7;
  return !merge.Merge({semantic.data(), instance.data(), panoptic.data(), pixels}, &bad) &&
         bad == semantic[pixels / 2];
}

// Draws numbers, some of them equal, and where they are wild not even finite.
Floats Draw(int64_t count, float scale, bool is_wild) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Floats values(count);
  for (float& value : values) {
    value = scale * (static_cast<float>(std::rand()) / static_cast<float>(RAND_MAX) - 0.5f);
    if (std::rand() % 2) value = std::floor(4 * value) / 4;
    if (is_wild && std::rand() % 12 == 0) {
      value = OneOf<float>({kInfinity, -kInfinity, NAN, 3e38f, std::numeric_limits<float>::lowest(), 1e-40f, -0.0f});
    }
  }
  return values;
}

bool GroupIsRight(Order order, int64_t height, int64_t width, int64_t sparsity, bool is_wild) {
  const int64_t pixels = height * width, keep_k = OneOf<int64_t>({-1, 0, 1, 5, 200});
  Floats peaks = Draw(pixels, 2, is_wild);
  for (float& value : peaks) value = std::rand() % sparsity ? 0.0f : value;
  const Floats offset = Draw(2 * pixels, OneOf<float>({1, 20, 5000}), is_wild);
  const std::unique_ptr<bool[]> is_thing(new bool[pixels]);
  for (int64_t i = 0; i < pixels; ++i) is_thing[i] = std::rand() % 3 > 0;

  std::vector<panpipe::Center> centers;
  panpipe::FindPeaks(peaks.data(), height, width, panpipe::kPositive, 0, height, &centers);
  panpipe::KeepStrongest(keep_k, &centers);
  const panpipe::NearestCenter nearest(centers, height, width);
  Ints wanted(pixels), found(pixels, -1);
  Floats wanted_score(pixels), found_score(pixels, -1.0f);
  for (int64_t i = 0; i < pixels && !centers.empty(); ++i) {
    if (!is_thing[i]) continue;
    const int64_t row = i / width * width, x = i % width;
    panpipe::GroupRun(nearest.lists(), i / width, x, x + 1, offset.data() + 2 * row, wanted.data() + row,
                      wanted_score.data() + row);
  }
  HostDevice device(order);
  panpipe::GroupOnDevice(&device,
                         {peaks.data(), offset.data(), is_thing.get(), found.data(), found_score.data(), height, width},
                         keep_k);
  return found == wanted && found_score == wanted_score;
}

struct Maps {
  explicit Maps(int64_t size) : panoptic(size, -1), semantic(size, -1), instance(size, -1), score(size, -1.0f) {}
  bool operator==(const Maps& other) const {
    return panoptic == other.panoptic && semantic == other.semantic && instance == other.instance &&
           score == other.score;
  }
  Ints panoptic, semantic, instance;
  Floats score;
};

bool HeadsAreRight(Order order, int64_t h, int64_t w, int64_t height, int64_t width, bool is_wild) {
  const int64_t classes = OneOf<int64_t>({1, 2, 5, 19});
  const Floats logits = Draw(h * w * classes, 8, is_wild), heatmap = Draw(h * w, 2, is_wild);
  const Floats offset = Draw(2 * h * w, OneOf<float>({1, 20, 5000}), is_wild);
  const panpipe::HeadMaps heads = {logits.data(), heatmap.data(), offset.data(), h, w, classes};
  const panpipe::CenterRules center_rules = {OneOf<float>({-1, 0, 0.1f, 0.5f, NAN}), OneOf<int64_t>({1, 2, 3, 7, 13}),
                                             OneOf<int64_t>({-1, 0, 1, 5, 200})};
  const panpipe::MergeRules merge_rules = DrawRules();
  Maps wanted(height * width), found(height * width);
  const auto out = [=](Maps* maps) -> panpipe::PredictionMaps {
    return {maps->panoptic.data(), maps->semantic.data(), maps->instance.data(), maps->score.data(), height, width};
  };
  panpipe::HeadsOfImage(heads, center_rules, merge_rules, out(&wanted)).Predict(2, [](int64_t n, const auto& work) {
    for (int64_t i = 0; i < n; ++i) work(i);
  });
  HostDevice device(order);
  panpipe::PredictOnDevice(&device, heads, center_rules, merge_rules, out(&found));
  return found == wanted;
}

int Fail(const char* what, int round) {
  std::printf("%s differs in round %d\n", what, round);
  return 1;
}

}  // namespace

int main() {
  for (int round = 0; round < 40; ++round) {
    for (const Order order : {Order::kForward, Order::kBackward, Order::kAtOnce}) {
      const bool is_wild = round % 2;
      if (!MergeIsRight(order, Between(1, 60), 3, 5)) return Fail("merge of few", round);
      if (!MergeIsRight(order, Between(1, 3000), OneOf<int>({1, 5, 100}), OneOf<int>({1, 7, 400}))) {
        return Fail("merge", round);
      }
      if (!GroupIsRight(order, Between(1, 20), Between(1, 30), OneOf<int64_t>({1, 10, 1000}), is_wild)) {
        return Fail("group", round);
      }
      if (!HeadsAreRight(order, Between(1, 9), Between(1, 9), Between(1, 30), Between(1, 30), is_wild) ||
          !HeadsAreRight(order, Between(1, 6), 7, Between(9, 30), 25, is_wild)) {
        return Fail("prediction", round);
      }
      const int64_t height = Between(1, 12), width = Between(1, 12);
      if (!HeadsAreRight(order, height, width, height, width, is_wild)) return Fail("prediction of equal size", round);
    }
  }
  for (const Order order : {Order::kForward, Order::kAtOnce}) {
    if (!MergeIsRight(order, 90000, 1, 1 << 30)) return Fail("merge of tens of thousands of segments", 0);
    if (!GroupIsRight(order, 80, 120, 1, false)) return Fail("group around thousands of centers", 0);
  }
  return 0;
}
