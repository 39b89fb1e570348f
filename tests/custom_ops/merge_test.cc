// SPDX-License-Identifier: Apache-2.0
// Exercises merge.h alone: any split into bands gives the same ids. Compiled with sanitizers by test_headers.py.
#include "merge.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

std::vector<int32_t> Merge(const std::vector<int32_t>& semantic, const std::vector<int32_t>& instance,
                           const panpipe::MergeRules& rules, int64_t num_bands) {
  const int64_t pixels = semantic.size();
  std::vector<panpipe::Band> bands(num_bands);
  for (int64_t i = 0; i < num_bands; ++i) {
    panpipe::ReadBand(semantic.data(), instance.data(), i * pixels / num_bands, (i + 1) * pixels / num_bands,
                      &bands[i]);
  }
  panpipe::NumberSegments(bands.data(), bands.data() + num_bands, rules);
  std::vector<int32_t> panoptic(pixels);
  for (int64_t i = 0; i < num_bands; ++i) {
    const int64_t begin = i * pixels / num_bands, end = (i + 1) * pixels / num_bands;
    panpipe::WriteBand(bands[i], end - begin, panoptic.data() + begin);
  }
  return panoptic;
}

// Draws maps whose runs are `run` pixels long on average.
void Draw(int pixels, int run, int ids, std::vector<int32_t>* semantic, std::vector<int32_t>* instance) {
  for (int i = 0; i < pixels; ++i) {
    const bool is_new = i == 0 || std::rand() % run == 0;
    semantic->push_back(is_new ? std::rand() % 12 : semantic->back());
    instance->push_back(is_new ? std::rand() % ids - ids / 2 : instance->back());
  }
}

}  // namespace

int main() {
  const panpipe::MergeRules rules = {/*thing_ids=*/{3, 5, 9}, /*label_divisor=*/50, /*stuff_area_limit=*/40,
                                     /*void_label=*/255};
  for (const int run : {1, 5, 100}) {
    for (const int ids : {1, 7, 5000}) {
      std::vector<int32_t> semantic, instance;
      Draw(3001, run, ids, &semantic, &instance);
      const std::vector<int32_t> whole = Merge(semantic, instance, rules, 1);
      for (const int num_bands : {2, 3, 7, 3001, 4000}) {
        if (Merge(semantic, instance, rules, num_bands) == whole) continue;
        std::printf("%d bands differ from one: runs of %d, %d ids\n", num_bands, run, ids);
        return 1;
      }
    }
  }
  const std::vector<int32_t> labels = {4, 2, -7, 4};
  panpipe::Band band;
  panpipe::ReadBand(labels.data(), labels.data(), 0, 4, &band);
  int32_t bad = 0;
  if (!panpipe::FindBadLabel(&band, &band + 1, rules, &bad) || bad != -7) return 2;
  return 0;
}
