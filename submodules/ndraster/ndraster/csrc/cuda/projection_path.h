// From parameters to splats and lists per tile: the tensors around projection.cu and binning.cu.
#pragma once
#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <cuda_runtime_api.h>

#include <climits>

#include "cuda/kernels.h"
#include "shared/constants.h"
#include "shared/make_camera.h"
#include "shared/projection.h"

namespace ndr {

using at::Tensor;
using OptionalTensor = const std::optional<Tensor>&;

inline const float* read(const Tensor& t) { return t.const_data_ptr<float>(); }
inline const float* read(OptionalTensor t) { return t ? t->const_data_ptr<float>() : nullptr; }
inline float* write(Tensor& t) { return t.mutable_data_ptr<float>(); }

inline Parameters make_parameters(const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities,
                           OptionalTensor sh, OptionalTensor colors, OptionalTensor features) {
    TORCH_CHECK(means.size(0) < (int64_t(1) << 31), "too many Gaussians: ", means.size(0));
    TORCH_CHECK(!sh, "spherical harmonics become colours in the operator `shade` first");
    return {read(means),  read(quats),    read(scales),         read(opacities),
            read(colors), read(features), int(means.size(0)),   features ? int(features->size(1)) : 0};
}

inline TileLists make_lists(const TileGrid& grid, const Tensor& splats, const Tensor& ids, const Tensor& ranges) {
    return {reinterpret_cast<const Splat*>(read(splats)),
            ids.const_data_ptr<int>(),
            reinterpret_cast<const int2*>(ranges.const_data_ptr<int>()),
            grid.tiles_x(),
            grid.tiles_y(),
            grid.columns,
            grid.rows};
}

// Gaussians on the image plane, and their lists per tile.
struct Projected {
    Tensor splats, means2d, radii, ids, ranges;
    Tensor instances;  // [1] int32, pairs needed
};

// A number on its way to the host: the device can be given other work before the host waits for it.
class PendingCount {
  public:
    PendingCount(const Tensor& count, cudaStream_t stream) {
        C10_CUDA_CHECK(cudaMemcpyAsync(landing(), count.const_data_ptr<int>(), sizeof(int), cudaMemcpyDeviceToHost, stream));
        C10_CUDA_CHECK(cudaEventCreateWithFlags(&arrived_, cudaEventDisableTiming));
        C10_CUDA_CHECK(cudaEventRecord(arrived_, stream));
    }
    PendingCount(const PendingCount&) = delete;
    ~PendingCount() { C10_CUDA_CHECK_WARN(cudaEventDestroy(arrived_)); }
    int wait() const {
        C10_CUDA_CHECK(cudaEventSynchronize(arrived_));
        return *landing();
    }

  private:
    static int* landing() {  // pinned, one per thread, as long as the thread
        thread_local int* const pinned = [] {
            void* memory = nullptr;
            C10_CUDA_CHECK(cudaHostAlloc(&memory, sizeof(int), cudaHostAllocPortable));
            return static_cast<int*>(memory);
        }();
        return pinned;
    }
    cudaEvent_t arrived_;
};

// max_instances: 0 = as many as needed (waits for the device), else the size of the lists.
// meanwhile: called before the wait, to launch what does not need the lists.
template <typename Work>
Projected project_and_list(const CameraRef& camera, const Parameters& p, const TileGrid& grid,
                           const at::TensorOptions& floats, int64_t max_instances, cudaStream_t stream, Work meanwhile) {
    const auto ints = floats.dtype(at::kInt);
    Projected out;
    out.splats = at::empty({p.count, 12}, floats), out.means2d = at::empty({p.count, 2}, floats);
    out.radii = at::empty({p.count}, ints), out.ranges = at::empty({grid.tiles_x() * grid.tiles_y(), 2}, ints);
    Tensor keys = at::empty({p.count}, ints), indices = at::empty({p.count}, ints), order = at::empty({p.count}, ints);
    Tensor offsets = p.count ? at::empty({p.count}, ints) : at::zeros({1}, ints);
    Tensor touched = at::empty({p.count * TOUCHED_BYTES}, floats.dtype(at::kByte));
    Splat* rows = reinterpret_cast<Splat*>(write(out.splats));
    uint32_t* depth_keys = reinterpret_cast<uint32_t*>(keys.mutable_data_ptr<int>());
    launch_project(camera, p, rows, out.radii.mutable_data_ptr<int>(), write(out.means2d), depth_keys,
                   indices.mutable_data_ptr<int>(), stream);
    count_instances(rows, depth_keys, indices.const_data_ptr<int>(), p.count, grid,
                    order.mutable_data_ptr<int>(), offsets.mutable_data_ptr<int>(), touched.data_ptr(), stream);
    out.instances = offsets.slice(0, offsets.size(0) - 1);
    int64_t capacity = max_instances;
    if (max_instances > 0) {
        meanwhile();
    } else {
        const PendingCount count(out.instances, stream);
        meanwhile();
        capacity = count.wait();
    }
    TORCH_CHECK(capacity < INT_MAX, "the image needs ", capacity,
                " or more (Gaussian, tile) pairs; fewer than 2^31 - 1 fit: render smaller or prune large Gaussians");
    out.ids = at::empty({capacity}, ints);
    fill_lists(rows, order.const_data_ptr<int>(), offsets.const_data_ptr<int>(), touched.data_ptr(),
               out.instances.const_data_ptr<int>(), p.count, int(capacity), grid,
               out.ids.mutable_data_ptr<int>(), reinterpret_cast<int2*>(out.ranges.mutable_data_ptr<int>()), stream);
    return out;
}

}  // namespace ndr
