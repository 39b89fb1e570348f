// SPDX-License-Identifier: Apache-2.0
// Marks functions that run on the host and, where the CUDA compiler reads them, on a GPU as well.
#ifndef PANPIPE_CUSTOM_OPS_CC_HOST_DEVICE_H_
#define PANPIPE_CUSTOM_OPS_CC_HOST_DEVICE_H_

#ifdef __CUDACC__
#define PANPIPE_HOST_DEVICE __host__ __device__
#else
#define PANPIPE_HOST_DEVICE
#endif

#endif  // PANPIPE_CUSTOM_OPS_CC_HOST_DEVICE_H_
