// The tensors behind feature maps: kept weights, packed features, and the choice between matrix units and plain float.
#pragma once
#include <ATen/ATen.h>
#include <cuda_runtime_api.h>

#include <cstdlib>

#include "cuda/kernels.h"

namespace ndr {

using at::Tensor;

inline __half* halves(const Tensor& t) {
    return t.numel() ? reinterpret_cast<__half*>(t.data_ptr<at::Half>()) : nullptr;
}

// A map [D, H, W] stored [H, W, D], from a multiple of 16 bytes on.
inline Tensor pixels_first(const Tensor& map) {
    const Tensor rows = map.permute({1, 2, 0}).contiguous();
    return reinterpret_cast<uintptr_t>(rows.const_data_ptr()) % 16 ? rows.clone() : rows;
}

// Matrix units with half-precision operands need sm_80. NDRASTER_SIMT=1 does without them, for tests.
inline bool use_tensor_cores() {
    static const bool wanted = [] {
        const char* simt = std::getenv("NDRASTER_SIMT");
        return !(simt && simt[0] == '1');
    }();
    int device = 0, major = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    return wanted && major >= 8;
}

// Weights of a forward pass; see struct Weights.
struct WeightTensors {
    Tensor masks, rows[2];

    static WeightTensors make(int64_t instances, int64_t tiles, bool keep, bool exact, const at::TensorOptions& floats) {
        const auto rows = [&](bool wanted) {
            return at::empty({wanted ? instances * SUBTILES : 0, 32}, floats.dtype(at::kHalf));
        };
        return {at::zeros({count_chunks(instances, tiles) * SUBTILES, 4}, floats.dtype(at::kInt)), {rows(keep), rows(keep && exact)}};
    }
    Weights view() const {
        return {reinterpret_cast<uint4*>(masks.data_ptr<int>()), {halves(rows[0]), halves(rows[1])}};
    }
};

// Features as halves, if matrix units will take them; see struct PackedFeatures.
struct PackedTensors {
    Tensor rows[2], scale;

    static PackedTensors make(const Tensor& features, bool exact, cudaStream_t stream) {
        const int width = int(features.size(1)), slice = slice_of(width), padded = (width + slice - 1) / slice * slice;
        const auto rows = [&](bool wanted) {
            return at::empty({wanted && use_tensor_cores() ? features.size(0) : 0, padded}, features.options().dtype(at::kHalf));
        };
        const PackedTensors made{{rows(true), rows(exact)}, at::empty({1}, features.options())};
        if (made.rows[0].numel())
            launch_pack(features.const_data_ptr<float>(), features.size(0), made.view(width), stream);
        return made;
    }
    PackedFeatures view(int width) const {
        return {{halves(rows[0]), halves(rows[1])}, scale.data_ptr<float>(), int(rows[0].size(1)), width};
    }
};

// Feature map [D, H, W] of all pixels, stored [H, W, D].
inline Tensor feature_product(const TileLists& lists, const Weights& weights, const Tensor& features,
                              const PackedTensors& packed, cudaStream_t stream) {
    Tensor map = at::empty({lists.height, lists.width, features.size(1)}, features.options());
    if (features.size(0) == 0) return map.zero_().permute({2, 0, 1});
    if (use_tensor_cores()) {
        launch_product(lists, weights, packed.view(int(features.size(1))), map.data_ptr<float>(), stream);
    } else {
        launch_product_simt(lists, weights, features.const_data_ptr<float>(), int(features.size(1)), map.data_ptr<float>(), stream);
    }
    return map.permute({2, 0, 1});
}

// Places of list entries by Gaussian, for sums without atomics; see struct Slots.
struct SlotOrder {
    Tensor ids, positions;

    SlotOrder(const Tensor& list, int64_t count, cudaStream_t stream)
        : ids(at::empty_like(list)), positions(at::empty_like(list)) {
        launch_order_slots(list.const_data_ptr<int>(), int(list.size(0)), int(count), ids.data_ptr<int>(),
                           positions.data_ptr<int>(), stream);
    }
    // out [N, stride], its columns [first, first + columns); values [M, rows, columns of a slot]
    void sum(const Tensor& values, int rows, float* out, int64_t count, int stride, int columns, cudaStream_t stream) const {
        const Slots slots{values.const_data_ptr<float>(), rows, int(values.size(-1)), ids.const_data_ptr<int>(),
                          positions.const_data_ptr<int>()};
        launch_sum_slots(slots, int(ids.size(0)), int(count), out, stride, columns, stream);
    }
};

// The gradient of a map, stored [H, W, D], reaches the features, and as one number per weight the blending.
struct FeatureGradient {
    Tensor features;                // [N, D]
    Tensor dot_rows, dot_scales;    // see struct FeatureDots
    FeatureDots dots{};             // of these tensors

    FeatureGradient() = default;
    FeatureGradient(const TileLists& lists, const Weights& weights, const Tensor& list, const Tensor& values,
                    const PackedTensors& packed, const Tensor& g_map, bool want_dots, bool deterministic, cudaStream_t stream);

  private:
    void with_tensor_cores(const TileLists&, const Weights&, const Tensor& list, const Tensor& values, const PackedTensors&,
                           const Tensor& g_map, bool want_dots, bool deterministic, cudaStream_t);
    void make_dots(const TileLists&, const Tensor& list, bool exact);
};

inline FeatureGradient::FeatureGradient(const TileLists& lists, const Weights& weights, const Tensor& list,
                                        const Tensor& values, const PackedTensors& packed, const Tensor& g_map,
                                        bool want_dots, bool deterministic, cudaStream_t stream) {
    if (use_tensor_cores()) {
        with_tensor_cores(lists, weights, list, values, packed, g_map, want_dots, deterministic, stream);
        return;
    }
    TORCH_CHECK(!deterministic, "deterministic=True needs a GPU of compute capability 8.0 or more for features");
    const int width = int(values.size(1));
    features = at::zeros_like(values);
    launch_gradient_simt(lists, weights, g_map.const_data_ptr<float>(), width, features.data_ptr<float>(), width, stream);
    if (!want_dots) return;
    make_dots(lists, list, true);
    dot_scales.fill_(1);
    launch_dots_simt(lists, weights, values.const_data_ptr<float>(), width, g_map.const_data_ptr<float>(), dots.exact_rows, stream);
}

inline void FeatureGradient::make_dots(const TileLists& lists, const Tensor& list, bool exact) {
    const int64_t rows = list.size(0) * SUBTILES, chunks = count_chunks(list.size(0), int64_t(lists.tiles_x) * lists.tiles_y);
    dot_rows = at::empty({rows, 32}, list.options().dtype(exact ? at::kFloat : at::kHalf));
    dot_scales = at::empty({chunks * SUBTILES * (CHUNK / DOT_GROUP)}, list.options().dtype(at::kFloat));
    dots = {exact ? nullptr : halves(dot_rows), exact ? dot_rows.data_ptr<float>() : nullptr, dot_scales.data_ptr<float>()};
}

inline void FeatureGradient::with_tensor_cores(const TileLists& lists, const Weights& weights, const Tensor& list,
                                               const Tensor& values, const PackedTensors& packed, const Tensor& g_map,
                                               bool want_dots, bool deterministic, cudaStream_t stream) {
    const bool exact = weights.rows[1] != nullptr;
    const int64_t count = values.size(0), width = values.size(1), tiles = int64_t(lists.tiles_x) * lists.tiles_y;
    const int slice = slice_of(int(width)), slices = int((width + slice - 1) / slice), stride = int(width + 3) / 4 * 4;
    const auto fragments = [&](bool wanted) {
        return at::empty({wanted ? tiles * slices * 256 * slice : 0}, values.options().dtype(at::kHalf));
    };
    const Tensor high = fragments(want_dots), low = fragments(want_dots && exact);
    const Tensor scales = at::empty({want_dots ? tiles * slices : 0}, values.options());
    const PackedGradient kept{{halves(high), halves(low)}, want_dots ? scales.data_ptr<float>() : nullptr};
    Tensor rows = deterministic ? at::empty({count, stride}, values.options()) : at::zeros({count, stride}, values.options());
    if (deterministic) {
        const SlotOrder order(list, count, stream);
        for (int s = 0; s < slices; s++) {
            const Tensor sums = at::zeros({list.size(0), slice}, values.options());
            launch_gradient(lists, weights, GradientMap::of_pixels(g_map.const_data_ptr<float>(), int(width)), kept,
                            {sums.data_ptr<float>(), slice, true, s}, stream);
            order.sum(sums, 1, rows.data_ptr<float>() + s * slice, count, stride, std::min(slice, stride - s * slice), stream);
        }
    } else {
        launch_gradient(lists, weights, GradientMap::of_pixels(g_map.const_data_ptr<float>(), int(width)), kept,
                        {rows.data_ptr<float>(), stride, false, 0}, stream);
    }
    features = stride == width ? rows : rows.narrow(1, 0, width).contiguous();
    if (!want_dots) return;
    make_dots(lists, list, exact);
    launch_dots(lists, weights, packed.view(int(width)), kept, dots, stream);
}

}  // namespace ndr
