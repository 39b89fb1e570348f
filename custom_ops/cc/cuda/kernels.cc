// SPDX-License-Identifier: Apache-2.0
// The ops of merge_op.cc, group_op.cc and heads_op.cc on a GPU, one image after the other. Each op waits for its stream
// once, at its end.
#include <cstdint>
#include <vector>

#include "attributes.h"
#include "cuda/device.h"
#include "cuda/predicting.h"
#include "heads_inputs.h"
#include "maps_inputs.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace panpipe {
namespace {

namespace tf = ::tensorflow;

class MergeGpuOp : public tf::OpKernel {
 public:
  explicit MergeGpuOp(tf::OpKernelConstruction* context) : tf::OpKernel(context) {
    OP_REQUIRES_OK(context, ReadRules(context, &rules_));
  }

  void Compute(tf::OpKernelContext* context) override {
    OP_REQUIRES_OK(context, CheckMaps(context));
    const tf::Tensor& semantic = context->input(0);
    tf::Tensor* panoptic = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, semantic.shape(), &panoptic));
    const int64_t pixels = semantic.dim_size(1) * semantic.dim_size(2);
    std::vector<MergeMaps> images;
    for (int64_t first = 0; first < semantic.NumElements(); first += pixels) {
      images.push_back({semantic.flat<int32_t>().data() + first, context->input(1).flat<int32_t>().data() + first,
                        panoptic->flat<int32_t>().data() + first, pixels});
    }
    GpuDevice device(context);
    int32_t label;
    OP_REQUIRES(context, MergeOnDevice(&device, rules_, images, &label), BadLabel(label, rules_));
    OP_REQUIRES_OK(context, device.status());
  }

 private:
  MergeRules rules_;
};

class GroupGpuOp : public tf::OpKernel {
 public:
  explicit GroupGpuOp(tf::OpKernelConstruction* context) : tf::OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("keep_k_centers", &keep_k_));
  }

  void Compute(tf::OpKernelContext* context) override {
    OP_REQUIRES_OK(context, CheckThings(context));
    const tf::Tensor& peaks = context->input(0);
    tf::Tensor *instance, *score;
    OP_REQUIRES_OK(context, context->allocate_output(0, peaks.shape(), &instance));
    OP_REQUIRES_OK(context, context->allocate_output(1, peaks.shape(), &score));
    const int64_t height = peaks.dim_size(1), width = peaks.dim_size(2);
    std::vector<ThingMaps> images;
    for (int64_t first = 0; first < peaks.NumElements(); first += height * width) {
      images.push_back({peaks.flat<float>().data() + first, context->input(1).flat<float>().data() + 2 * first,
                        context->input(2).flat<bool>().data() + first, instance->flat<int32_t>().data() + first,
                        score->flat<float>().data() + first, height, width});
    }
    GpuDevice device(context);
    GroupOnDevice(&device, images, keep_k_);
    OP_REQUIRES_OK(context, device.status());
  }

 private:
  int64_t keep_k_;
};

class HeadsGpuOp : public tf::OpKernel {
 public:
  explicit HeadsGpuOp(tf::OpKernelConstruction* context) : tf::OpKernel(context) {
    OP_REQUIRES_OK(context, attributes_.Read(context));
  }

  void Compute(tf::OpKernelContext* context) override {
    int64_t height, width;
    OP_REQUIRES_OK(context, ReadShapes(context, attributes_.merge_rules, &height, &width));
    tf::Tensor* maps[4];
    OP_REQUIRES_OK(context, AllocateMaps(context, height, width, maps));
    std::vector<HeadsAndMaps> images;
    for (int64_t i = 0; i < maps[0]->dim_size(0); ++i) images.push_back({HeadsAt(context, i), PredictionAt(maps, i)});
    GpuDevice device(context);
    PredictOnDevice(&device, images, {attributes_.center_rules, attributes_.merge_rules});
    OP_REQUIRES_OK(context, device.status());
  }

 private:
  HeadsAttributes attributes_;
};

REGISTER_KERNEL_BUILDER(Name("PanpipeMerge").Device(tf::DEVICE_GPU), MergeGpuOp);
REGISTER_KERNEL_BUILDER(Name("PanpipeGroup").Device(tf::DEVICE_GPU), GroupGpuOp);
REGISTER_KERNEL_BUILDER(Name("PanpipePanopticFromHeads").Device(tf::DEVICE_GPU).HostMemory("size"), HeadsGpuOp);

}  // namespace
}  // namespace panpipe
