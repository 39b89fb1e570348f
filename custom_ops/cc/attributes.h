// SPDX-License-Identifier: Apache-2.0
// What the ops share of TensorFlow: attributes, checked as in rules.py, memory, and its pool of threads.
#ifndef PANPIPE_CUSTOM_OPS_CC_ATTRIBUTES_H_
#define PANPIPE_CUSTOM_OPS_CC_ATTRIBUTES_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "merge.h"
#include "pages.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/lib/core/threadpool.h"
#include "tensorflow/core/util/work_sharder.h"

namespace panpipe {

// Reads an attribute that must lie in [smallest, largest].
inline ::tensorflow::Status ReadAttribute(::tensorflow::OpKernelConstruction* context, const char* name,
                                          int64_t smallest, int64_t largest, int32_t* value) {
  int64_t number;
  TF_RETURN_IF_ERROR(context->GetAttr(name, &number));
  if (number < smallest || number > largest) {
    return ::tensorflow::errors::InvalidArgument(name, " is ", number, "; it must be ", smallest, " .. ", largest);
  }
  *value = static_cast<int32_t>(number);
  return ::tensorflow::OkStatus();
}

inline ::tensorflow::Status ReadRules(::tensorflow::OpKernelConstruction* context, MergeRules* rules) {
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  TF_RETURN_IF_ERROR(ReadAttribute(context, "label_divisor", 1, kMax, &rules->label_divisor));
  TF_RETURN_IF_ERROR(ReadAttribute(context, "stuff_area_limit", 0, kMax, &rules->stuff_area_limit));
  TF_RETURN_IF_ERROR(ReadAttribute(context, "void_label", 0, rules->largest_label(), &rules->void_label));
  std::vector<int64_t> ids;
  TF_RETURN_IF_ERROR(context->GetAttr("thing_ids", &ids));
  for (const int64_t id : ids) {
    if (id < 0 || id > rules->largest_label()) {
      return ::tensorflow::errors::InvalidArgument("a thing id is ", id, "; labels are 0 .. ",
                                                   rules->largest_label());
    }
    rules->thing_ids.push_back(static_cast<int32_t>(id));
  }
  std::sort(rules->thing_ids.begin(), rules->thing_ids.end());
  return ::tensorflow::OkStatus();
}

inline void PreferLargePages(const ::tensorflow::Tensor& output) {
  PreferLargePages(output.data(), output.TotalBytes());
}

// The threads of the op's device, which share an image in bands.
class Bands {
 public:
  explicit Bands(::tensorflow::OpKernelContext* context)
      : pool_(context->device()->tensorflow_cpu_worker_threads()->workers) {}

  // How many bands an image is worth, if each thread takes up to `per_thread` of them.
  int64_t Count(int64_t pixels, int64_t per_thread) const {
    constexpr int64_t kSmallestBand = 1 << 17;  // pixels; less is not worth another thread
    return std::max<int64_t>(std::min<int64_t>(pixels / kSmallestBand, per_thread * pool_->NumThreads()), 1);
  }

  // Calls work(i) for each of n bands of `cost` nanoseconds, about.
  void ForEach(int64_t n, int64_t cost, const std::function<void(int64_t)>& work) const {
    // Unlike the pool itself, this heeds tf.data's max_intra_op_parallelism.
    ::tensorflow::Shard(pool_->NumThreads(), pool_, n, cost, [&](int64_t begin, int64_t end) {
      for (; begin < end; ++begin) work(begin);
    });
  }

 private:
  ::tensorflow::thread::ThreadPool* pool_;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_ATTRIBUTES_H_
