// SPDX-License-Identifier: Apache-2.0
// Merges a semantic and an instance map into panoptic ids, without TensorFlow.
//
// One pass reads the maps and records runs: neighbouring pixels of equal label and instance. Each distinct
// (label, instance) pair is a segment and gathers its pixel count. Then the few segments get their panoptic ids,
// and a second pass writes those ids run by run, without reading the maps again.
// An image may be read in bands by several threads; the result does not depend on the bands.
#ifndef PANPIPE_CUSTOM_OPS_CC_MERGE_H_
#define PANPIPE_CUSTOM_OPS_CC_MERGE_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host_device.h"

namespace panpipe {

// From labels to panoptic ids. Plain numbers, which a GPU's threads take, too.
struct IdRules {
  // The id of a class of stuff that covers `area` pixels.
  PANPIPE_HOST_DEVICE int32_t OfStuff(int32_t label, int64_t area) const {
    return area > stuff_area_limit ? label * label_divisor : void_id;
  }
  // The id of the k-th thing of its class, k = 1 .. .
  PANPIPE_HOST_DEVICE int32_t OfThing(int32_t label, int64_t k) const {
    return k < label_divisor ? label * label_divisor + static_cast<int32_t>(k) : void_id;
  }

  int32_t label_divisor, stuff_area_limit, void_id;
};

struct MergeRules {
  std::vector<int32_t> thing_ids;  // ascending
  int32_t label_divisor = 1;       // at least 1
  int32_t stuff_area_limit = 0;    // at least 0
  int32_t void_label = 0;          // 0 .. largest_label()

  // The largest label all of whose panoptic ids fit into int32.
  int64_t largest_label() const {
    return (int64_t{std::numeric_limits<int32_t>::max()} + 1) / label_divisor - 1;
  }
  bool is_thing(int32_t label) const {
    return std::binary_search(thing_ids.begin(), thing_ids.end(), label);
  }
  IdRules ids() const { return {label_divisor, stuff_area_limit, void_label * label_divisor}; }
};

// The pixels of one band that share label and instance.
struct Segment {
  int32_t label;
  int32_t instance;
  int64_t area;
  int32_t panoptic;
};

// The distinct segments of a band, in order of discovery: an open-addressing hash table, asked once a run.
class SegmentTable {
 public:
  SegmentTable() : slots_(kFirstSlots, kEmpty) {}

  // Returns the index of the segment, which is new if it was not there, and adds to its area.
  int32_t Add(int32_t label, int32_t instance, int64_t area) {
    size_t slot = Probe(label, instance);
    if (slots_[slot] == kEmpty) {
      slots_[slot] = static_cast<int32_t>(segments_.size());
      segments_.push_back({label, instance, 0, 0});
      if (segments_.size() * 2 > slots_.size()) {
        Grow();
        slot = Probe(label, instance);
      }
    }
    segments_[slots_[slot]].area += area;
    return slots_[slot];
  }

  std::vector<Segment>& segments() { return segments_; }
  const std::vector<Segment>& segments() const { return segments_; }

 private:
  static constexpr int32_t kEmpty = -1;
  static constexpr size_t kFirstSlots = 1024;  // a power of two, as every size is

  size_t Probe(int32_t label, int32_t instance) const {
    const uint64_t key = (uint64_t{static_cast<uint32_t>(label)} << 32) | static_cast<uint32_t>(instance);
    const size_t mask = slots_.size() - 1;
    uint64_t hash = key * 0x9E3779B97F4A7C15u;  // Fibonacci hashing; the upper bits are the mixed ones
    size_t slot = (hash ^ (hash >> 32)) & mask;
    while (slots_[slot] != kEmpty) {
      const Segment& segment = segments_[slots_[slot]];
      if (segment.label == label && segment.instance == instance) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  void Grow() {
    slots_.assign(slots_.size() * 2, kEmpty);
    for (size_t i = 0; i < segments_.size(); ++i) {
      slots_[Probe(segments_[i].label, segments_[i].instance)] = static_cast<int32_t>(i);
    }
  }

  std::vector<int32_t> slots_;
  std::vector<Segment> segments_;
};

// What the first pass learns of a range of pixels.
struct Band {
  struct Run {
    int32_t segment;  // index into the table
    int32_t length;   // pixels
  };
  SegmentTable table;
  std::vector<Run> runs;
};

// Returns the end of the run of equal pixels that begins at `begin`.
inline int64_t RunEnd(const int32_t* semantic, const int32_t* instance, int64_t begin, int64_t end) {
  constexpr int kStep = 8;  // compared without a branch, so that the compiler uses vector instructions
  const int32_t label = semantic[begin];
  const int32_t id = instance[begin];
  int64_t i = begin + 1;
  for (; i + kStep <= end; i += kStep) {
    int32_t differs = 0;
    for (int j = 0; j < kStep; ++j) differs |= (semantic[i + j] ^ label) | (instance[i + j] ^ id);
    if (differs != 0) break;
  }
  while (i < end && semantic[i] == label && instance[i] == id) ++i;
  return i;
}

constexpr int kChanges = 16;

// Sets bit j where pixel j differs from pixel j - 1 in either map, j = 0 .. kChanges - 1.
inline uint32_t Changes(const int32_t* semantic, const int32_t* instance) {
  typedef int32_t Ints __attribute__((vector_size(16)));
  constexpr int kLanes = 4;
  const auto load = [](const int32_t* from) {
    Ints values;
    std::memcpy(&values, from, sizeof(values));
    return values;
  };
  Ints bits = {};
  Ints bit = {1, 2, 4, 8};
  for (int i = 0; i < kChanges; i += kLanes, bit <<= kLanes) {
    const Ints differs = (load(semantic + i) ^ load(semantic + i - 1)) | (load(instance + i) ^ load(instance + i - 1));
    bits |= (differs != 0) & bit;
  }
  return static_cast<uint32_t>(bits[0] | bits[1] | bits[2] | bits[3]);
}

// First pass: reads pixels [begin, end) of both maps. A run is as long as int32 can count, at most.
inline void ReadBand(const int32_t* semantic, const int32_t* instance, int64_t begin, int64_t end, Band* band) {
  constexpr int64_t kLongest = std::numeric_limits<int32_t>::max() - kChanges;
  const auto end_run = [&](int64_t stop) {
    const int32_t segment = band->table.Add(semantic[begin], instance[begin], stop - begin);
    band->runs.push_back({segment, static_cast<int32_t>(stop - begin)});
    begin = stop;
  };
  if (begin == end) return;
  int64_t i = begin + 1;
  for (; i + kChanges <= end; i += kChanges) {
    for (uint32_t changes = Changes(semantic + i, instance + i); changes != 0; changes &= changes - 1) {
      end_run(i + __builtin_ctz(changes));
    }
    if (i - begin > kLongest - kChanges) end_run(i);
  }
  for (; i < end; ++i) {
    if (semantic[i] != semantic[i - 1] || instance[i] != instance[i - 1]) end_run(i);
  }
  end_run(end);
}

// Second pass: writes the panoptic ids of a band, of so many pixels.
inline void WriteBand(const Band& band, int64_t pixels, int32_t* panoptic) {
  constexpr int kStep = 8;  // a run is written in whole steps; what is too much, the next run overwrites
  int64_t i = 0;
  for (const Band::Run& run : band.runs) {
    const int32_t id = band.table.segments()[run.segment].panoptic;
    const int64_t stop = i + run.length;
    for (; i < stop && i + kStep <= pixels; i += kStep) {
      for (int j = 0; j < kStep; ++j) panoptic[i + j] = id;
    }
    for (; i < stop; ++i) panoptic[i] = id;  // another thread writes the pixels after the band
    i = stop;
  }
}

// Finds the first label, in order of pixels, that is out of range; returns whether there is one.
inline bool FindBadLabel(const Band* first, const Band* last, const MergeRules& rules, int32_t* bad) {
  for (; first != last; ++first) {
    for (const Segment& segment : first->table.segments()) {
      if (segment.label < 0 || segment.label > rules.largest_label()) {
        *bad = segment.label;
        return true;
      }
    }
  }
  return false;
}

// Numbers stuff: the label, or void where the class covers too few pixels.
inline void NumberStuff(const std::vector<Segment*>& stuff, const MergeRules& rules) {
  std::unordered_map<int32_t, int64_t> areas;
  for (const Segment* segment : stuff) areas[segment->label] += segment->area;
  for (Segment* segment : stuff) segment->panoptic = rules.ids().OfStuff(segment->label, areas[segment->label]);
}

// Returns the label of most pixels of one group, whose segments lie in ascending order of label.
inline int32_t MajorityLabel(Segment* const* begin, Segment* const* end) {
  int32_t winner = (*begin)->label;
  int64_t most = 0;
  while (begin != end) {
    const int32_t label = (*begin)->label;
    int64_t votes = 0;
    for (; begin != end && (*begin)->label == label; ++begin) votes += (*begin)->area;
    if (votes > most) {  // strictly: the smaller label wins a tie
      most = votes;
      winner = label;
    }
  }
  return winner;
}

// Numbers things: groups in ascending order of instance, counted from 1 within the class of each.
inline void NumberThings(std::vector<Segment*>* things, const MergeRules& rules) {
  std::sort(things->begin(), things->end(), [](const Segment* a, const Segment* b) {
    return std::make_pair(a->instance, a->label) < std::make_pair(b->instance, b->label);
  });
  std::unordered_map<int32_t, int32_t> numbered;
  Segment* const* const last = things->data() + things->size();
  for (Segment* const* begin = things->data(); begin != last;) {
    Segment* const* end = begin;
    while (end != last && (*end)->instance == (*begin)->instance) ++end;
    const int32_t label = MajorityLabel(begin, end);
    const int32_t id = rules.ids().OfThing(label, ++numbered[label]);
    for (; begin != end; ++begin) (*begin)->panoptic = id;
  }
}

// Between the passes: gives every segment of one image, in bands [first, last), its panoptic id.
inline void NumberSegments(Band* first, Band* last, const MergeRules& rules) {
  std::vector<Segment*> stuff, things;
  for (; first != last; ++first) {
    for (Segment& segment : first->table.segments()) {
      (rules.is_thing(segment.label) ? things : stuff).push_back(&segment);
    }
  }
  NumberStuff(stuff, rules);
  NumberThings(&things, rules);
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_MERGE_H_
