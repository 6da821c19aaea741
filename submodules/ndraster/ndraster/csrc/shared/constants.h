// The numbers of the splatting model; constants.py holds the same and a test compares them.
#pragma once

namespace ndr {

constexpr int TILE = 16;                            // pixels a side
constexpr float ALPHA_MIN = 1.0f / 255.0f;          // fainter: the Gaussian does not exist at this pixel
constexpr float ALPHA_MAX = 0.99f;                  // cap; the gradient passes straight through
constexpr float TRANSMITTANCE_MIN = 1e-4f;          // stop before the Gaussian that would go below
constexpr float BLUR_PX2 = 0.3f;                    // added to the diagonal of the projected covariance
constexpr float ANTIALIAS_FLOOR = 0.000025f;        // lower bound of det C / det C'
constexpr float FRUSTUM_MARGIN = 1.3f;              // half field-of-views within which the Jacobian follows the mean
constexpr float EIGEN_FLOOR = 0.1f;                 // under the root of the larger eigenvalue
constexpr float RADIUS_SIGMAS = 3.0f;               // radii = this many standard deviations, rounded up
constexpr float MEDIAN_TRANSMITTANCE = 0.5f;        // the median Gaussian crosses this
constexpr float EPS_DET = 1e-12f;                   // smaller determinants are dropped

// Slack on squared distances, so that rounding never lets a list miss a pixel whose alpha reaches ALPHA_MIN.
constexpr float REACH_SLACK = 1e-3f;

}  // namespace ndr
