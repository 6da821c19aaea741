// 16 floats of AVX-512. The three vec_*.h give the kernels the same names.
#pragma once
#include <immintrin.h>
#include <string.h>

namespace ndr::cpu::NDR_ISA {

constexpr int LANES = 16;
constexpr int PRODUCT_ROWS = 12;  // of two vectors each: accumulators of the feature products, to fill the registers

using Vec = __m512;
using Mask = __mmask16;

static inline Vec set1(float v) { return _mm512_set1_ps(v); }
static inline Vec set1_bits(int v) { return _mm512_castsi512_ps(_mm512_set1_epi32(v)); }
static inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
static inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
static inline void stream8(float* p, const float* v) { _mm256_stream_ps(p, _mm256_loadu_ps(v)); }  // past the cache
static inline void fence() { _mm_sfence(); }  // after the last stream8
static inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }    // a b + c
static inline Vec fnma(Vec a, Vec b, Vec c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
static inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
static inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }  // b if a is NaN
static inline Vec abs(Vec a) { return _mm512_abs_ps(a); }

static inline Vec reciprocal(Vec a) {  // to the last bit or two
    const Vec r = _mm512_rcp14_ps(a);
    return fma(r, fnma(a, r, set1(1)), r);
}

static inline Mask ge(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
static inline Mask gt(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
static inline Mask both(Mask a, Mask b) { return a & b; }
static inline Mask either(Mask a, Mask b) { return a | b; }
static inline bool any(Mask m) { return m != 0; }
static inline Vec select(Mask m, Vec a, Vec b) { return _mm512_mask_mov_ps(b, m, a); }  // m ? a : b
static inline Vec zero_unless(Mask m, Vec a) { return _mm512_maskz_mov_ps(m, a); }

// a * 2^n, with n in the low mantissa bits of `shifted`.
static inline Vec times_power(Vec a, Vec shifted) {
    const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), n));
}

// Append first + lane for every set lane; room for LANES more is needed. -> how many
static inline int append(int* out, int first, Mask m) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(m, _mm512_add_epi32(lanes, _mm512_set1_epi32(first))));
    return __builtin_popcount(m);
}

static inline Vec fold4(Vec a, Vec b, Vec c, Vec d) {  // every 128 bits: partial sums of a, b, c, d
    const __m512d ab = _mm512_castps_pd(_mm512_unpacklo_ps(a, b) + _mm512_unpackhi_ps(a, b));
    const __m512d cd = _mm512_castps_pd(_mm512_unpacklo_ps(c, d) + _mm512_unpackhi_ps(c, d));
    return _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)) + _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd));
}

// row[0..12) += the sum over lanes of each of twelve vectors; row has 16 floats.
static inline void add_sums(const Vec s[12], float* row) {
    const Vec u0 = fold4(s[0], s[1], s[2], s[3]), u1 = fold4(s[4], s[5], s[6], s[7]);
    const Vec u2 = fold4(s[8], s[9], s[10], s[11]);
    const Vec low = _mm512_shuffle_f32x4(u0, u1, 0x44) + _mm512_shuffle_f32x4(u0, u1, 0xEE);
    const Vec high = _mm512_shuffle_f32x4(u2, u2, 0x44) + _mm512_shuffle_f32x4(u2, u2, 0xEE);
    const Vec sums = _mm512_shuffle_f32x4(low, high, 0x88) + _mm512_shuffle_f32x4(low, high, 0xDD);
    store(row, load(row) + _mm512_maskz_mov_ps(0x0FFF, sums));
}

// low, high = a0 b0 a1 b1 ...
static inline void interleave(Vec a, Vec b, Vec& low, Vec& high) {
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    low = _mm512_permutex2var_ps(a, first, b);
    high = _mm512_permutex2var_ps(a, _mm512_add_epi32(first, _mm512_set1_epi32(8)), b);
}

static inline float sum(Vec a) { return _mm512_reduce_add_ps(a); }

}  // namespace ndr::cpu::NDR_ISA
