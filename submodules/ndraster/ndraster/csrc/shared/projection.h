// One Gaussian onto the image plane, forward and backward (EWA splatting, Zwicker et al. 2001; Kerbl et al. 2023).
// reference.py, `project`, is the specification; names and order follow it.
#pragma once
#include <math.h>

#include "camera.h"
#include "constants.h"

namespace ndr {

// What blending needs of a Gaussian; three 16-byte loads.
struct Splat {
    float x, y;              // screen mean, px
    float conic_xx, conic_xy;
    float conic_yy;          // inverse covariance, 1/px^2
    float opacity;           // after the antialiasing factor
    float z;                 // camera depth
    float reach2;            // squared Mahalanobis distance at which alpha falls to ALPHA_MIN, with slack
    float r, g, b;
    float inverse_z;
};

// Gradients of a Splat, as the blending backward leaves them.
struct SplatGrad {
    float x, y;
    float conic_xx, conic_xy, conic_yy;
    float opacity;
    float z;                 // includes the inverse-depth path
    float r, g, b;
    float abs_x, abs_y;      // sums over pixels of absolute values
};

struct Extent {
    float half_width, half_height;  // px, of the box outside which alpha < ALPHA_MIN
    int radius;                     // px
};

NDR_HD float clamp_to(float v, float low, float high) { return fminf(fmaxf(v, low), high); }

NDR_HD void rotation_matrix(const float q[4], float m[9]) {
    const float w = q[0], x = q[1], y = q[2], z = q[3];
    m[0] = 1 - 2 * (y * y + z * z), m[1] = 2 * (x * y - w * z), m[2] = 2 * (x * z + w * y);
    m[3] = 2 * (x * y + w * z), m[4] = 1 - 2 * (x * x + z * z), m[5] = 2 * (y * z - w * x);
    m[6] = 2 * (x * z - w * y), m[7] = 2 * (y * z + w * x), m[8] = 1 - 2 * (x * x + y * y);
}

NDR_HD void rotation_matrix_backward(const float q[4], const float g[9], float gq[4]) {
    const float w = q[0], x = q[1], y = q[2], z = q[3];
    gq[0] = 2 * (-z * g[1] + y * g[2] + z * g[3] - x * g[5] - y * g[6] + x * g[7]);
    gq[1] = 2 * (y * g[1] + z * g[2] + y * g[3] - 2 * x * g[4] - w * g[5] + z * g[6] + w * g[7] - 2 * x * g[8]);
    gq[2] = 2 * (-2 * y * g[0] + x * g[1] + w * g[2] + x * g[3] + z * g[5] - w * g[6] + z * g[7] - 2 * y * g[8]);
    gq[3] = 2 * (-2 * z * g[0] - w * g[1] + x * g[2] + w * g[3] - 2 * z * g[4] + y * g[5] + x * g[6] + y * g[7]);
}

// Everything between the parameters and the 2x2 covariance, kept for the backward pass.
struct Footprint {
    float t[3];              // camera-space mean
    float jx, jy;            // x', y' of the Jacobian (clamped)
    bool clamped_x, clamped_y;
    float spin[9];           // rotation of the quaternion
    float v[9];              // camera rotation * spin * diag(scale)
    float h[6];              // Jacobian * v
    float xx, xy, yy;        // covariance before the blur, px^2
};

NDR_HD void camera_point(const Camera& camera, const float mean[3], float t[3]) {
    for (int i = 0; i < 3; i++)
        t[i] = camera.rotation[3 * i] * mean[0] + camera.rotation[3 * i + 1] * mean[1] +
               camera.rotation[3 * i + 2] * mean[2] + camera.translation[i];
}

NDR_HD void slope_limits(float focal, float centre, int size, float& low, float& high) {
    const float half = FRUSTUM_MARGIN * 0.5f * size / focal, middle = (0.5f * size - centre) / focal;
    low = middle - half, high = middle + half;
}

NDR_HD void footprint(const Camera& camera, const float mean[3], const float quat[4], const float scale[3],
                      Footprint& f) {
    camera_point(camera, mean, f.t);
    const float iz = 1 / f.t[2];
    float low, high;
    slope_limits(camera.fx, camera.cx, camera.width, low, high);
    f.clamped_x = !(f.t[0] * iz >= low && f.t[0] * iz <= high);
    f.jx = f.clamped_x ? f.t[2] * clamp_to(f.t[0] * iz, low, high) : f.t[0];
    slope_limits(camera.fy, camera.cy, camera.height, low, high);
    f.clamped_y = !(f.t[1] * iz >= low && f.t[1] * iz <= high);
    f.jy = f.clamped_y ? f.t[2] * clamp_to(f.t[1] * iz, low, high) : f.t[1];
    rotation_matrix(quat, f.spin);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            f.v[3 * i + k] = (camera.rotation[3 * i] * f.spin[k] + camera.rotation[3 * i + 1] * f.spin[3 + k] +
                              camera.rotation[3 * i + 2] * f.spin[6 + k]) *
                             (scale[k] * camera.scale_modifier);
    for (int k = 0; k < 3; k++) {
        f.h[k] = camera.fx * iz * (f.v[k] - f.jx * iz * f.v[6 + k]);
        f.h[3 + k] = camera.fy * iz * (f.v[3 + k] - f.jy * iz * f.v[6 + k]);
    }
    f.xx = f.h[0] * f.h[0] + f.h[1] * f.h[1] + f.h[2] * f.h[2];
    f.xy = f.h[0] * f.h[3] + f.h[1] * f.h[4] + f.h[2] * f.h[5];
    f.yy = f.h[3] * f.h[3] + f.h[4] * f.h[4] + f.h[5] * f.h[5];
}

NDR_HD float antialias_ratio(float xx, float xy, float yy) {
    return (xx * yy - xy * xy) / ((xx + BLUR_PX2) * (yy + BLUR_PX2) - xy * xy);
}

// False: the Gaussian is not in the image. Colours are left to sh.h.
NDR_HD bool project(const Camera& camera, const float mean[3], const float quat[4], const float scale[3],
                    float opacity, Splat& s, Extent& e) {
    float t[3];
    camera_point(camera, mean, t);
    if (!(t[2] > camera.near)) return false;
    Footprint f;
    footprint(camera, mean, quat, scale, f);
    const float xx = f.xx + BLUR_PX2, yy = f.yy + BLUR_PX2, det = xx * yy - f.xy * f.xy;
    if (!(det > EPS_DET)) return false;
    if (camera.antialiasing) opacity *= sqrtf(fmaxf(ANTIALIAS_FLOOR, antialias_ratio(f.xx, f.xy, f.yy)));
    if (!(opacity >= ALPHA_MIN)) return false;
    const float reach2 = 2 * logf(opacity / ALPHA_MIN);
    s.x = camera.fx * t[0] / t[2] + camera.cx;
    s.y = camera.fy * t[1] / t[2] + camera.cy;
    s.conic_xx = yy / det, s.conic_xy = -f.xy / det, s.conic_yy = xx / det;
    s.opacity = opacity;
    s.z = t[2], s.inverse_z = 1 / t[2];
    s.reach2 = reach2 + REACH_SLACK;
    e.half_width = sqrtf(reach2 * xx), e.half_height = sqrtf(reach2 * yy);
    const bool inside = s.x + e.half_width > 0 && s.x - e.half_width < camera.width && s.y + e.half_height > 0 &&
                        s.y - e.half_height < camera.height;
    if (!inside) return false;  // also drops non-finite means
    const float middle = 0.5f * (xx + yy);
    e.radius = (int)ceilf(RADIUS_SIGMAS * sqrtf(middle + sqrtf(fmaxf(EIGEN_FLOOR, middle * middle - det))));
    return true;
}

// Parameter gradients of one Gaussian, without the colour path; adds to nothing, writes all.
NDR_HD void project_backward(const Camera& camera, const float mean[3], const float quat[4], const float scale[3],
                             float opacity, const SplatGrad& g, float g_mean[3], float g_quat[4], float g_scale[3],
                             float& g_opacity) {
    Footprint f;
    footprint(camera, mean, quat, scale, f);
    const float bxx = f.xx + BLUR_PX2, byy = f.yy + BLUR_PX2, det = bxx * byy - f.xy * f.xy;
    const float a = byy / det, b = -f.xy / det, c = bxx / det;
    // d(inverse) = -inverse * G * inverse, G symmetric with the off-diagonal gradient split in halves
    const float h = 0.5f * g.conic_xy;
    const float u = g.conic_xx * a + h * b, v = g.conic_xx * b + h * c;
    const float w = h * a + g.conic_yy * b, x = h * b + g.conic_yy * c;
    float g_xx = -(a * u + b * w), g_yy = -(b * v + c * x), g_xy = -2 * (a * v + b * x);
    g_opacity = g.opacity;
    if (camera.antialiasing) {
        const float d0 = f.xx * f.yy - f.xy * f.xy, ratio = d0 / det;
        const float rho = sqrtf(fmaxf(ANTIALIAS_FLOOR, ratio));
        g_opacity = rho * g.opacity;
        if (ratio > ANTIALIAS_FLOOR) {
            const float g_ratio = g.opacity * opacity / (2 * rho), inv2 = 1 / (det * det);
            // numerators of the quotient rule, multiplied out so that nothing cancels (blur = w):
            // d/dxx = w (w yy + yy^2 + xy^2) / det^2, and so on
            g_xx += g_ratio * BLUR_PX2 * (BLUR_PX2 * f.yy + f.yy * f.yy + f.xy * f.xy) * inv2;
            g_yy += g_ratio * BLUR_PX2 * (BLUR_PX2 * f.xx + f.xx * f.xx + f.xy * f.xy) * inv2;
            g_xy += g_ratio * -2 * BLUR_PX2 * f.xy * (BLUR_PX2 + f.xx + f.yy) * inv2;
        }
    }
    const float iz = 1 / f.t[2], iz2 = iz * iz;
    float g_h[6], g_v[9];
    for (int k = 0; k < 3; k++) {
        g_h[k] = 2 * g_xx * f.h[k] + g_xy * f.h[3 + k];
        g_h[3 + k] = 2 * g_yy * f.h[3 + k] + g_xy * f.h[k];
    }
    const float j00 = camera.fx * iz, j11 = camera.fy * iz, j02 = -j00 * f.jx * iz, j12 = -j11 * f.jy * iz;
    float g_j00 = 0, g_j02 = 0, g_j11 = 0, g_j12 = 0;
    for (int k = 0; k < 3; k++) {
        g_j00 += g_h[k] * f.v[k], g_j02 += g_h[k] * f.v[6 + k];
        g_j11 += g_h[3 + k] * f.v[3 + k], g_j12 += g_h[3 + k] * f.v[6 + k];
        g_v[k] = j00 * g_h[k], g_v[3 + k] = j11 * g_h[3 + k], g_v[6 + k] = j02 * g_h[k] + j12 * g_h[3 + k];
    }
    float g_spin[9];
    for (int k = 0; k < 3; k++) {
        const float size = scale[k] * camera.scale_modifier;
        g_scale[k] = 0;
        for (int i = 0; i < 3; i++) {
            const float g_m = camera.rotation[i] * g_v[k] + camera.rotation[3 + i] * g_v[3 + k] +
                              camera.rotation[6 + i] * g_v[6 + k];
            g_spin[3 * i + k] = g_m * size;
            g_scale[k] += g_m * f.spin[3 * i + k] * camera.scale_modifier;
        }
    }
    rotation_matrix_backward(quat, g_spin, g_quat);
    float g_t[3];
    g_t[0] = j00 * g.x - (f.clamped_x ? 0.0f : camera.fx * iz2 * g_j02);
    g_t[1] = j11 * g.y - (f.clamped_y ? 0.0f : camera.fy * iz2 * g_j12);
    g_t[2] = g.z - iz * (j00 * f.t[0] * g.x + j11 * f.t[1] * g.y) - iz * (j00 * g_j00 + j11 * g_j11) -
             2 * iz * (j02 * g_j02 + j12 * g_j12);
    for (int i = 0; i < 3; i++)
        g_mean[i] = camera.rotation[i] * g_t[0] + camera.rotation[3 + i] * g_t[1] + camera.rotation[6 + i] * g_t[2];
}

// Smallest squared Mahalanobis distance from the splat's mean to the box [x0, x1] x [y0, y1] (px).
NDR_HD float box_distance2(const Splat& s, float x0, float y0, float x1, float y1) {
    const float left = x0 - s.x, right = x1 - s.x, top = y0 - s.y, bottom = y1 - s.y;
    const bool out_x = left > 0 || right < 0, out_y = top > 0 || bottom < 0;
    float best = 3.0e38f;
    if (!out_x && !out_y) return 0;
    if (out_x) {  // the minimum on the facing vertical edge
        const float dx = left > 0 ? left : right;
        const float dy = clamp_to(-s.conic_xy * dx / s.conic_yy, top, bottom);
        best = s.conic_xx * dx * dx + 2 * s.conic_xy * dx * dy + s.conic_yy * dy * dy;
    }
    if (out_y) {  // and on the facing horizontal edge
        const float dy = top > 0 ? top : bottom;
        const float dx = clamp_to(-s.conic_xy * dy / s.conic_xx, left, right);
        best = fminf(best, s.conic_xx * dx * dx + 2 * s.conic_xy * dx * dy + s.conic_yy * dy * dy);
    }
    return best;
}

// Whether the splat reaches any pixel centre of the `size` px box at pixel (px, py).
NDR_HD bool touches(const Splat& s, int px, int py, int size_x, int size_y) {
    return box_distance2(s, px + 0.5f, py + 0.5f, px + size_x - 0.5f, py + size_y - 0.5f) <= s.reach2;
}

}  // namespace ndr
