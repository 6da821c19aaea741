// Which sources all outputs of one axis read.
#pragma once
#include <algorithm>
#include <vector>

#include "kernels.h"
#include "shared/resample.h"

namespace ndr::cpu {

// The sources among `in` of each of `out` outputs.
inline std::vector<Lerp> lerps_of(Axis axis, int64_t in, int64_t out) {
    std::vector<Lerp> lerps(out);
    for (int64_t i = 0; i < out; i++) {
        const float source = axis.at((int)i, (int)in);
        const int low = (int)source;
        lerps[i] = {low, std::min(low + 1, (int)in - 1), source - low};
    }
    return lerps;
}

}  // namespace ndr::cpu
