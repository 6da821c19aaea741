// Bilinear resampling, one axis at a time: which sources an output reads.
#pragma once
#include "camera.h"

namespace ndr {

// Output i reads at start + step * i, counted from the centre of the first source; beyond the ends, the end itself.
struct Axis {
    float start, step;

    NDR_HD float at(int i, int sources) const {
        const float position = start + step * i, last = float(sources - 1);
        return position < 0 ? 0 : position < last ? position : last;
    }
};

}  // namespace ndr
