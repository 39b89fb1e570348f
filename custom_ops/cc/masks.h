// SPDX-License-Identifier: Apache-2.0
// From the mask logits of one image, at the network's stride, to its prediction at full resolution.
//
// An image is processed in bands of rows, by any number of threads; the result does not depend on the bands. Nothing
// of full resolution is held but the prediction: between the two passes over it, the codes of pixels lie in the place
// of their instances.
#ifndef PANPIPE_CUSTOM_OPS_CC_MASKS_H_
#define PANPIPE_CUSTOM_OPS_CC_MASKS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "heads.h"
#include "mask_kernels.h"
#include "mask_pixels.h"
#include "pasting.h"

namespace panpipe {

class MasksOfImage {
 public:
  MasksOfImage(const MaskMaps& maps, const SlotFacts& facts, const MaskRules& rules, const PredictionMaps& out)
      : maps_(maps),
        facts_(facts),
        rules_(rules),
        out_(out),
        resizing_(maps.height, maps.width, out.height, out.width),
        is_any_alive_(std::any_of(facts.is_alive, facts.is_alive + facts.slots, [](bool is) { return is; })) {}

  // Runs all steps. for_each(n, work) calls work(i) for i = 0 .. n - 1, in any order or at once.
  template <typename ForEach>
  void Predict(int64_t num_bands, const ForEach& for_each) {
    std::vector<SlotSets> bands(num_bands, SlotSets(rules_.is_maskwise ? facts_.slots : 2 * facts_.slots));
    const auto first_row = [&](int64_t band) { return band * out_.height / num_bands; };
    for_each(num_bands, [&](int64_t i) { Read(first_row(i), first_row(i + 1), &bands[i]); });
    const std::vector<std::vector<Fate>> tables = rules_.is_maskwise ? Paste(bands, facts_, rules_) : Share(bands);
    for_each(num_bands, [&](int64_t i) {
      const int64_t end = first_row(i + 1) * out_.width;
      for (int64_t j = first_row(i) * out_.width; j < end; ++j) {
        const Fate fate = tables[i][out_.instance[j]];
        out_.panoptic[j] = fate.panoptic;
        out_.instance[j] = fate.instance;
      }
    });
  }

 private:
  // Writes the codes of pixels, and all that they do not decide on.
  class Writer : public BlockTaker {
   public:
    Writer(const MasksOfImage& image, SlotSets* band) : image_(image), band_(band) {}

    void Take(const PixelBlock& block) override {
      for (int i = 0; i < block.rows; ++i) {
        for (int j = 0; j < block.columns; ++j) {
          const int lane = i * block.pitch + j;
          image_.Write(block, lane, (block.y + i) * image_.out_.width + block.x + j, band_);
        }
      }
    }

   private:
    const MasksOfImage& image_;
    SlotSets* band_;
  };

  void Write(const PixelBlock& block, int lane, int64_t place, SlotSets* band) const {
    const int32_t code = rules_.is_maskwise ? MaskCode(block, lane, band) : PixelCode(block, lane);
    band->Count(code);
    out_.instance[place] = code;
    out_.semantic[place] = facts_.label[block.likeliest[lane]];
    out_.score[place] = is_any_alive_ ? block.score[lane] : 0.0f;
  }

  // Reads rows [begin, end) of the result.
  void Read(int64_t begin, int64_t end, SlotSets* band) const {
#ifdef PANPIPE_HAS_WIDE
    if (HasWideVectors()) return ReadBy<wide::MaskPixels>(begin, end, band);
#endif
    ReadBy<narrow::MaskPixels>(begin, end, band);
  }

  template <typename Pixels>
  void ReadBy(int64_t begin, int64_t end, SlotSets* band) const {
    // Without rivals, where nothing is pasted.
    const float threshold = rules_.is_maskwise ? rules_.pixel_threshold : 1.0f;
    Pixels pixels(maps_, resizing_, facts_.is_alive, threshold);
    Writer writer(*this, band);
    while (begin < end) {
      const int64_t stop = resizing_.StripEnd(begin, end);
      pixels.VisitStrip(begin, stop, &writer);
      begin = stop;
    }
  }

  int32_t MaskCode(const PixelBlock& block, int lane, SlotSets* band) const {
    if (!is_any_alive_) return 0;
    if (block.has_rivals) return band->Code(block.passing[lane]);
    return block.score[lane] > rules_.pixel_threshold ? 1 + block.slot[lane] : 0;
  }

  // Without masks, the code is the slot, and whether the pixel is sure of it.
  int32_t PixelCode(const PixelBlock& block, int lane) const {
    if (!is_any_alive_) return 0;
    const bool is_sure = block.leads[lane] && block.score[lane] > rules_.pixel_threshold;
    return 1 + block.slot[lane] + (is_sure ? 0 : static_cast<int32_t>(facts_.slots));
  }

  // Returns what becomes of the codes of all bands.
  std::vector<std::vector<Fate>> Share(const std::vector<SlotSets>& bands) const {
    Segments segments(facts_, rules_);
    for (const SlotSets& band : bands) {
      for (int32_t k = 0; k < facts_.slots; ++k) segments.Own(k, band.pixels(1 + k));
    }
    std::vector<Fate> table = {segments.None()};
    const std::vector<Fate> fates = segments.Fates();
    table.insert(table.end(), fates.begin(), fates.end());
    for (const Fate& fate : fates) table.push_back({segments.None().panoptic, fate.instance});
    return std::vector<std::vector<Fate>>(bands.size(), table);
  }

  const MaskMaps& maps_;
  const SlotFacts& facts_;
  const MaskRules& rules_;
  const PredictionMaps& out_;
  const Resizing resizing_;
  const bool is_any_alive_;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_MASKS_H_
