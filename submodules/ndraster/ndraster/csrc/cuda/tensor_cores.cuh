// The instructions that the products are made of: asynchronous copies, matrix loads, matrix multiply-adds (sm_80 on).
//
// Fragment layout of mma.m16n8k16 (PTX ISA), for a lane with g = lane / 4, t = lane % 4:
//   A [16 x 16]: registers hold (row g, columns 2t 2t+1), (g+8, 2t..), (g, 2t+8..), (g+8, 2t+8..)
//   B [16 x 8]:  (rows 2t 2t+1, column g), (rows 2t+8.., column g)
//   C [16 x 8]:  (row g, columns 2t 2t+1), (row g+8, columns 2t 2t+1)
// Rows of A and columns of B may be permuted freely, and so may the inner index if both operands follow. Two
// permutations make every access wide: pixel 4g + m of a warp is row 8m + g (`pixel_row`), so that a lane holds four
// neighbours of an image row; channels 4t .. 4t+3 of sixteen are columns 2t, 2t+1, 2t+8, 2t+9 (`channel_column`).
#pragma once
#include <cuda_fp16.h>

#include <cstdint>

namespace ndr {

__device__ __forceinline__ int pixel_row(int lane) { return 8 * (lane % 4) + lane / 4; }
__device__ __forceinline__ int channel_column(int c) { return 2 * (c % 16 / 4) + 8 * (c % 4 / 2) + c % 2 + c / 16 * 16; }

__device__ __forceinline__ uint32_t shared_address(const void* p) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define NDR_ASM(...) __trap()  // products_simt.cu serves these GPUs
#else
#define NDR_ASM(...) asm volatile(__VA_ARGS__)
#endif

// 16 bytes from global to shared memory; zeros where `exists` is false.
__device__ __forceinline__ void copy16(void* to, const void* from, bool exists) {
    NDR_ASM("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(exists ? 16 : 0)
            : "memory");
}
__device__ __forceinline__ void commit_copies() { NDR_ASM("cp.async.commit_group;" ::: "memory"); }
template <int PENDING>
__device__ __forceinline__ void wait_copies() {
    NDR_ASM("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Four 8x8 matrices of halves; lanes 8i .. 8i+7 point to the rows of the i-th.
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* row) {
    NDR_ASM("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
            : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
            : "r"(shared_address(row))
            : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
    NDR_ASM("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
            : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
            : "r"(shared_address(row))
            : "memory");
}

// c += a b
__device__ __forceinline__ void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    NDR_ASM("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// The same of bfloat16 operands.
__device__ __forceinline__ void multiply_add_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    NDR_ASM("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#undef NDR_ASM

// A number as one half, or as two halves that add up to it (22 bits).
__device__ __forceinline__ __half high_half(float v) { return __float2half_rn(v); }
__device__ __forceinline__ __half low_half(float v) { return __float2half_rn(v - __half2float(__float2half_rn(v))); }
__device__ __forceinline__ uint32_t pack(__half a, __half b) {
    return uint32_t(__half_as_ushort(a)) | uint32_t(__half_as_ushort(b)) << 16;
}

// The power of two that brings `largest` into [2^13, 2^14); 1 for zero and for what is not finite.
__device__ __forceinline__ float half_scale(float largest) {
    if (!(largest > 1e-30f && largest < 1e30f)) return 1;
    const int exponent = (__float_as_int(largest) >> 23) - 127;
    return __int_as_float((13 - exponent + 127) << 23);
}

}  // namespace ndr
