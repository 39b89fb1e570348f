// SPDX-License-Identifier: Apache-2.0
// The GPU of a running TensorFlow op, as a device that merging.h describes.
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_DEVICE_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_DEVICE_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cuda/launch.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "xla/stream_executor/stream.h"

namespace panpipe {

class GpuDevice {
 public:
  explicit GpuDevice(::tensorflow::OpKernelContext* context)
      : context_(context), stream_(context->op_device_context()->stream()->platform_specific_handle().stream) {}

  bool is_ok() const { return status_.ok(); }
  const ::tensorflow::Status& status() const { return status_; }

  template <typename T>
  T* Allocate(int64_t n) {
    if (!is_ok()) return nullptr;
    ::tensorflow::Tensor memory;
    const int64_t size = std::max<int64_t>(n, 1) * sizeof(T);
    status_ = context_->allocate_temp(::tensorflow::DT_UINT8, ::tensorflow::TensorShape({size}), &memory);
    if (!is_ok()) return nullptr;
    memory_.push_back(memory);
    return static_cast<T*>(memory.data());
  }

  template <typename T>
  T* Upload(const std::vector<T>& values) {
    T* to = Allocate<T>(values.size());
    Write(to, values);
    return to;
  }

  template <typename T>
  void Write(T* to, const std::vector<T>& values) {
    if (is_ok() && !values.empty()) Check(CopyToDevice(stream_, to, values.data(), values.size() * sizeof(T)));
  }

  template <typename T>
  std::vector<T> Download(const T* from, int64_t n) {
    std::vector<T> values(n);
    if (is_ok() && n > 0) Check(CopyToHost(stream_, values.data(), from, n * sizeof(T)));
    return values;
  }

  template <typename Work>
  void ForEach(int64_t n, const Work& work) {
    if (is_ok()) Check(Launch(stream_, n, work));
  }

 private:
  void Check(const char* message) {
    if (message != nullptr) status_ = ::tensorflow::errors::Internal("CUDA: ", message);
  }

  ::tensorflow::OpKernelContext* context_;
  void* stream_;
  ::tensorflow::Status status_;
  std::vector<::tensorflow::Tensor> memory_;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_DEVICE_H_
