// 4 floats in the compiler's portable vectors (SSE2, NEON, ...).
#pragma once
#include <stdint.h>
#include <string.h>

namespace ndr::cpu::NDR_ISA {

constexpr int LANES = 4;
constexpr int PRODUCT_ROWS = 6;

typedef float Vec __attribute__((vector_size(16)));
typedef int32_t Mask __attribute__((vector_size(16)));

static inline Vec set1(float v) { return Vec{v, v, v, v}; }
static inline Vec set1_bits(int v) { return (Vec)Mask{v, v, v, v}; }
static inline Vec load(const float* p) {
    Vec v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void store(float* p, Vec v) { memcpy(p, &v, sizeof v); }
static inline void stream8(float* p, const float* v) { memcpy(p, v, 8 * sizeof(float)); }
static inline void fence() {}
static inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
static inline Vec fnma(Vec a, Vec b, Vec c) { return c - a * b; }

static inline Vec reciprocal(Vec a) { return set1(1) / a; }

static inline Mask ge(Vec a, Vec b) { return (Mask)(a >= b); }
static inline Mask gt(Vec a, Vec b) { return (Mask)(a > b); }
static inline Mask both(Mask a, Mask b) { return a & b; }
static inline Mask either(Mask a, Mask b) { return a | b; }
static inline bool any(Mask m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }
static inline Vec select(Mask m, Vec a, Vec b) { return (Vec)((m & (Mask)a) | (~m & (Mask)b)); }
static inline Vec zero_unless(Mask m, Vec a) { return (Vec)(m & (Mask)a); }
static inline Vec min(Vec a, Vec b) { return select((Mask)(a < b), a, b); }
static inline Vec max(Vec a, Vec b) { return select((Mask)(a > b), a, b); }
static inline Vec abs(Vec a) { return (Vec)((Mask)a & 0x7FFFFFFF); }

static inline Vec times_power(Vec a, Vec shifted) { return (Vec)((Mask)a + (Mask)((Mask)shifted << 23)); }

static inline int append(int* out, int first, Mask m) {
    int count = 0;
    for (int i = 0; i < LANES; i++)
        if (m[i]) out[count++] = first + i;
    return count;
}

static inline void interleave(Vec a, Vec b, Vec& low, Vec& high) {
    low = Vec{a[0], b[0], a[1], b[1]};
    high = Vec{a[2], b[2], a[3], b[3]};
}

static inline float sum(Vec a) { return (a[0] + a[2]) + (a[1] + a[3]); }

static inline void add_sums(const Vec s[12], float* row) {
    for (int i = 0; i < 12; i++) row[i] += sum(s[i]);
}

}  // namespace ndr::cpu::NDR_ISA
