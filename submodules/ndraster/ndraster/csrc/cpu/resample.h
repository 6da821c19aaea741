// Bilinear resampling with align_corners, one axis at a time, as torch's interpolate computes it.
#pragma once
#include <algorithm>
#include <vector>

#include "kernels.h"

namespace ndr::cpu {

// The sources among `in` of each of `out` outputs.
inline std::vector<Lerp> align_corners(int64_t in, int64_t out) {
    const float scale = out > 1 ? (float)(in - 1) / (out - 1) : 0.0f;
    std::vector<Lerp> lerps(out);
    for (int64_t i = 0; i < out; i++) {
        const float source = scale * i;
        const int low = std::min((int)source, (int)in - 1);
        lerps[i] = {low, std::min(low + 1, (int)in - 1), std::min(std::max(source - low, 0.0f), 1.0f)};
    }
    return lerps;
}

}  // namespace ndr::cpu
