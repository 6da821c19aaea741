// 8 floats of AVX2 with FMA.
#pragma once
#include <immintrin.h>
#include <string.h>

namespace ndr::cpu::NDR_ISA {

constexpr int LANES = 8;
constexpr int PRODUCT_ROWS = 6;

using Vec = __m256;
using Mask = __m256;

static inline Vec set1(float v) { return _mm256_set1_ps(v); }
static inline Vec set1_bits(int v) { return _mm256_castsi256_ps(_mm256_set1_epi32(v)); }
static inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
static inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
static inline void stream8(float* p, const float* v) { _mm256_stream_ps(p, _mm256_loadu_ps(v)); }
static inline void fence() { _mm_sfence(); }
static inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline Vec fnma(Vec a, Vec b, Vec c) { return _mm256_fnmadd_ps(a, b, c); }
static inline Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
static inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
static inline Vec abs(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }

static inline Vec reciprocal(Vec a) { return set1(1) / a; }

static inline Mask ge(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
static inline Mask gt(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
static inline Mask both(Mask a, Mask b) { return _mm256_and_ps(a, b); }
static inline Mask either(Mask a, Mask b) { return _mm256_or_ps(a, b); }
static inline bool any(Mask m) { return _mm256_movemask_ps(m) != 0; }
static inline Vec select(Mask m, Vec a, Vec b) { return _mm256_blendv_ps(b, a, m); }
static inline Vec zero_unless(Mask m, Vec a) { return _mm256_and_ps(m, a); }

static inline Vec times_power(Vec a, Vec shifted) {
    const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), n));
}

static inline int append(int* out, int first, Mask m) {
    int count = 0;
    for (unsigned bits = _mm256_movemask_ps(m); bits; bits &= bits - 1) out[count++] = first + __builtin_ctz(bits);
    return count;
}

static inline Vec fold4(Vec a, Vec b, Vec c, Vec d) {
    return _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
}

static inline void add_sums(const Vec s[12], float* row) {
    const Vec u0 = fold4(s[0], s[1], s[2], s[3]), u1 = fold4(s[4], s[5], s[6], s[7]);
    const Vec u2 = fold4(s[8], s[9], s[10], s[11]);
    const Vec first = _mm256_permute2f128_ps(u0, u1, 0x20) + _mm256_permute2f128_ps(u0, u1, 0x31);
    const __m128 last = _mm256_castps256_ps128(u2) + _mm256_extractf128_ps(u2, 1);
    store(row, load(row) + first);
    _mm_storeu_ps(row + 8, _mm_loadu_ps(row + 8) + last);
}

static inline void interleave(Vec a, Vec b, Vec& low, Vec& high) {
    const Vec even = _mm256_unpacklo_ps(a, b), odd = _mm256_unpackhi_ps(a, b);
    low = _mm256_permute2f128_ps(even, odd, 0x20);
    high = _mm256_permute2f128_ps(even, odd, 0x31);
}

static inline float sum(Vec a) {
    float v[8], total = 0;
    store(v, a);
    for (float x : v) total += x;
    return total;
}

}  // namespace ndr::cpu::NDR_ISA
