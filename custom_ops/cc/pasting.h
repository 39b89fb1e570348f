// SPDX-License-Identifier: Apache-2.0
// Which slot gets which pixels, and what panoptic ids these make: model/postprocess/pasting.py, on counts of pixels.
//
// What matters of a pixel is its code: the set of slots whose masks hold it. A band counts the pixels of each code, all
// decisions are taken on those counts, and a table says what becomes of a code.
#ifndef PANPIPE_CUSTOM_OPS_CC_PASTING_H_
#define PANPIPE_CUSTOM_OPS_CC_PASTING_H_

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace panpipe {

struct SlotFacts {  // [slots] each
  const int32_t* label;
  const int32_t* number;  // each of 1 .. slots once
  const bool* is_thing;
  const bool* is_alive;
  const bool* may_paste;
  int64_t slots;
};

struct MaskRules {
  bool is_maskwise;
  float pixel_threshold;
  float overlap_threshold;
  int64_t thing_area_limit, stuff_area_limit;  // pixels that a segment must have
  int32_t label_divisor, void_label;
};

// The sets of slots that occur in a band of pixels. Code 0 is the empty set, 1 + k that of slot k alone.
class SlotSets {
 public:
  explicit SlotSets(int64_t slots) : first_(static_cast<int32_t>(slots) + 1), pixels_(first_) {}

  int32_t Code(const std::vector<int32_t>& set) {
    if (set.size() < 2) return set.empty() ? 0 : 1 + set[0];
    const auto found = codes_.emplace(set, first_ + static_cast<int32_t>(sets_.size()));
    if (found.second) {
      sets_.push_back(&found.first->first);
      pixels_.push_back(0);
    }
    return found.first->second;
  }

  void Count(int32_t code) { ++pixels_[code]; }

  int32_t first() const { return first_; }  // code of a set with several slots
  int32_t num_codes() const { return first_ + static_cast<int32_t>(sets_.size()); }
  int64_t pixels(int32_t code) const { return pixels_[code]; }
  const std::vector<int32_t>& set(int32_t code) const { return *sets_[code - first_]; }

 private:
  struct Hash {
    size_t operator()(const std::vector<int32_t>& set) const {
      uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a, by slots
      for (const int32_t slot : set) hash = (hash ^ static_cast<uint32_t>(slot)) * 0x100000001B3u;
      return hash;
    }
  };

  int32_t first_;
  std::vector<int64_t> pixels_;                                    // by code
  std::unordered_map<std::vector<int32_t>, int32_t, Hash> codes_;  // its keys stay where they are
  std::vector<const std::vector<int32_t>*> sets_;
};

// What becomes of the pixels of one code.
struct Fate {
  int32_t panoptic, instance;
};

// What slots own, and how segments are numbered.
class Segments {
 public:
  Segments(const SlotFacts& facts, const MaskRules& rules) : facts_(facts), rules_(rules), pixels_(facts.slots) {}

  void Own(int32_t slot, int64_t pixels) { pixels_[slot] += pixels; }

  Fate None() const { return {rules_.void_label * rules_.label_divisor, 1}; }

  // Returns what becomes of the pixels of each slot.
  std::vector<Fate> Fates() const {
    std::unordered_map<int32_t, int64_t> of_class;
    for (int64_t k = 0; k < facts_.slots; ++k) of_class[facts_.label[k]] += pixels_[k];
    std::vector<Fate> fates;
    for (int64_t k = 0; k < facts_.slots; ++k) {
      const int32_t label = facts_.label[k], number = facts_.number[k];
      const bool is_thing = facts_.is_thing[k];
      const bool is_kept =
          is_thing ? pixels_[k] >= rules_.thing_area_limit : of_class[label] >= rules_.stuff_area_limit;
      const int32_t id = label * rules_.label_divisor + (is_thing ? number : 0);
      fates.push_back({is_kept ? id : None().panoptic, number});
    }
    return fates;
  }

 private:
  const SlotFacts& facts_;
  const MaskRules& rules_;
  std::vector<int64_t> pixels_;  // by slot
};

// Pastes the masks of all slots, in the order of their numbers; returns what becomes of each code, band by band.
inline std::vector<std::vector<Fate>> Paste(const std::vector<SlotSets>& bands, const SlotFacts& facts,
                                            const MaskRules& rules) {
  struct Place {
    size_t band;
    int32_t code;
  };
  constexpr int32_t kNobody = -1;
  std::vector<std::vector<int32_t>> owners;  // of codes
  std::vector<std::vector<Place>> places(facts.slots);
  for (size_t i = 0; i < bands.size(); ++i) {
    owners.emplace_back(bands[i].num_codes(), kNobody);
    for (int32_t slot = 0; slot < facts.slots; ++slot) places[slot].push_back({i, 1 + slot});
    for (int32_t code = bands[i].first(); code < bands[i].num_codes(); ++code) {
      for (const int32_t slot : bands[i].set(code)) places[slot].push_back({i, code});
    }
  }
  std::vector<int32_t> order(facts.slots);
  for (int32_t slot = 0; slot < facts.slots; ++slot) order[facts.number[slot] - 1] = slot;
  Segments segments(facts, rules);
  for (const int32_t slot : order) {
    int64_t all = 0, free = 0;
    for (const Place& place : places[slot]) {
      const int64_t pixels = bands[place.band].pixels(place.code);
      all += pixels;
      free += owners[place.band][place.code] == kNobody ? pixels : 0;
    }
    if (!facts.may_paste[slot]) continue;
    if (!(static_cast<float>(free) > rules.overlap_threshold * static_cast<float>(all))) continue;
    segments.Own(slot, free);
    for (const Place& place : places[slot]) {
      int32_t& owner = owners[place.band][place.code];
      if (owner == kNobody) owner = slot;
    }
  }
  const std::vector<Fate> fates = segments.Fates();
  std::vector<std::vector<Fate>> tables;
  for (const std::vector<int32_t>& of_band : owners) {
    tables.emplace_back();
    for (const int32_t owner : of_band) tables.back().push_back(owner == kNobody ? segments.None() : fates[owner]);
  }
  return tables;
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_PASTING_H_
