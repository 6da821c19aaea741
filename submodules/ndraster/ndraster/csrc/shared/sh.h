// View-dependent colour from real spherical harmonics, degree 0 to 3, forward and backward.
// spherical_harmonics.py is the specification.
#pragma once
#include "camera.h"

namespace ndr {

constexpr float SH_0 = 0.28209479177387814f;
constexpr float SH_1 = 0.4886025119029199f;
constexpr float SH_2A = 1.0925484305920792f, SH_2B = 0.31539156525252005f, SH_2C = 0.5462742152960396f;
constexpr float SH_3A = 0.5900435899266435f, SH_3B = 2.890611442640554f, SH_3C = 0.4570457994644658f;
constexpr float SH_3D = 0.3731763325901154f, SH_3E = 1.445305721320277f;

NDR_HD int sh_count(int degree) { return (degree + 1) * (degree + 1); }

NDR_HD void sh_basis(int degree, float x, float y, float z, float out[16]) {
    out[0] = SH_0;
    if (degree < 1) return;
    out[1] = -SH_1 * y, out[2] = SH_1 * z, out[3] = -SH_1 * x;
    if (degree < 2) return;
    const float xx = x * x, yy = y * y, zz = z * z;
    out[4] = SH_2A * x * y, out[5] = -SH_2A * y * z, out[6] = SH_2B * (2 * zz - xx - yy);
    out[7] = -SH_2A * x * z, out[8] = SH_2C * (xx - yy);
    if (degree < 3) return;
    out[9] = -SH_3A * y * (3 * xx - yy), out[10] = SH_3B * x * y * z, out[11] = -SH_3C * y * (4 * zz - xx - yy);
    out[12] = SH_3D * z * (2 * zz - 3 * xx - 3 * yy), out[13] = -SH_3C * x * (4 * zz - xx - yy);
    out[14] = SH_3E * z * (xx - yy), out[15] = -SH_3A * x * (xx - 3 * yy);
}

// Gradient of sum_k s_k basis_k with respect to the direction.
NDR_HD void sh_basis_backward(int degree, float x, float y, float z, const float s[16], float& gx, float& gy,
                              float& gz) {
    gx = gy = gz = 0;
    if (degree < 1) return;
    gy += -SH_1 * s[1], gz += SH_1 * s[2], gx += -SH_1 * s[3];
    if (degree < 2) return;
    gx += SH_2A * (y * s[4] - z * s[7]) - 2 * SH_2B * x * s[6] + 2 * SH_2C * x * s[8];
    gy += SH_2A * (x * s[4] - z * s[5]) - 2 * SH_2B * y * s[6] - 2 * SH_2C * y * s[8];
    gz += -SH_2A * (y * s[5] + x * s[7]) + 4 * SH_2B * z * s[6];
    if (degree < 3) return;
    const float xx = x * x, yy = y * y, zz = z * z;
    gx += -6 * SH_3A * x * y * s[9] + SH_3B * y * z * s[10] + 2 * SH_3C * x * y * s[11] - 6 * SH_3D * x * z * s[12] -
          SH_3C * (4 * zz - 3 * xx - yy) * s[13] + 2 * SH_3E * x * z * s[14] - 3 * SH_3A * (xx - yy) * s[15];
    gy += -3 * SH_3A * (xx - yy) * s[9] + SH_3B * x * z * s[10] - SH_3C * (4 * zz - xx - 3 * yy) * s[11] -
          6 * SH_3D * y * z * s[12] + 2 * SH_3C * x * y * s[13] - 2 * SH_3E * y * z * s[14] +
          6 * SH_3A * x * y * s[15];
    gz += SH_3B * x * y * s[10] - 8 * SH_3C * y * z * s[11] + 3 * SH_3D * (2 * zz - xx - yy) * s[12] -
          8 * SH_3C * x * z * s[13] + SH_3E * (xx - yy) * s[14];
}

struct Direction {
    float x, y, z;   // unit vector from the eye to the Gaussian
    float inverse_length;
};

NDR_HD Direction view_direction(const Camera& camera, const float mean[3]) {
    Direction d;
    d.x = mean[0] - camera.eye[0], d.y = mean[1] - camera.eye[1], d.z = mean[2] - camera.eye[2];
    d.inverse_length = 1 / fmaxf(1e-12f, sqrtf(d.x * d.x + d.y * d.y + d.z * d.z));
    d.x *= d.inverse_length, d.y *= d.inverse_length, d.z *= d.inverse_length;
    return d;
}

// sh: this Gaussian's coefficients [K][3].
NDR_HD void sh_color(const Camera& camera, const float mean[3], const float* sh, float rgb[3]) {
    const Direction d = view_direction(camera, mean);
    float basis[16];
    sh_basis(camera.sh_degree, d.x, d.y, d.z, basis);
    rgb[0] = rgb[1] = rgb[2] = 0.5f;
    const int count = sh_count(camera.sh_degree);
    for (int k = 0; k < count; k++)
        for (int c = 0; c < 3; c++) rgb[c] += basis[k] * sh[3 * k + c];
    for (int c = 0; c < 3; c++) rgb[c] = fmaxf(0.0f, rgb[c]);
}

// rgb: the forward's result (a zero channel was clamped: no gradient). Writes g_sh[0 .. count), which may be sh itself, and
// adds to g_mean.
NDR_HD void sh_color_backward(const Camera& camera, const float mean[3], const float* sh, const float rgb[3],
                              const float g_rgb[3], float* g_sh, float g_mean[3]) {
    const Direction d = view_direction(camera, mean);
    float basis[16], weights[16];
    sh_basis(camera.sh_degree, d.x, d.y, d.z, basis);
    const int count = sh_count(camera.sh_degree);
    for (int k = 0; k < count; k++) {
        weights[k] = 0;
        for (int c = 0; c < 3; c++) {
            const float g = rgb[c] > 0 ? g_rgb[c] : 0.0f;
            weights[k] += sh[3 * k + c] * g;
            g_sh[3 * k + c] = basis[k] * g;
        }
    }
    float gx, gy, gz;
    sh_basis_backward(camera.sh_degree, d.x, d.y, d.z, weights, gx, gy, gz);
    const float along = gx * d.x + gy * d.y + gz * d.z;  // normalising removes this part
    g_mean[0] += (gx - along * d.x) * d.inverse_length;
    g_mean[1] += (gy - along * d.y) * d.inverse_length;
    g_mean[2] += (gz - along * d.z) * d.inverse_length;
}

}  // namespace ndr
