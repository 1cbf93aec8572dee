/*
 * The matrix units' instructions (PTX): the only code of scoring that is not C++. All 32 lanes of a warp call
 * each of them together. Lane l has, with g = l / 4 and t = l % 4:
 *   a[0 ... 3] (16 x 16)   rows g, g + 8, g, g + 8; columns 2 t and 2 t + 1, from the third on 8 later
 *   b0, b1 (16 x 8)        rows 2 t and 2 t + 1, in b1 8 later; column g
 *   c[0 ... 3] (16 x 8)    row g, in the last two g + 8; columns 2 t and 2 t + 1
 * tests/emulation has the same functions in C++.
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_MMA_CUH
#define BIFURCATED_GPU_CUDA_SCORE_MMA_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <stdint.h>

/* c += a b, summed in float32. */
static __device__ __forceinline__ void multiply_add(float *c, const uint32_t *a, uint32_t b0, uint32_t b1,
                                                    __half)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

static __device__ __forceinline__ void multiply_add(float *c, const uint32_t *a, uint32_t b0, uint32_t b1,
                                                    __nv_bfloat16)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Four 8 x 8 blocks; lane l gives the address of row l % 8 of block l / 8. */
static __device__ __forceinline__ void load_blocks(uint32_t *to, const void *row)
{
    const uint32_t address = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}

static __device__ __forceinline__ void load_blocks_transposed(uint32_t *to, const void *row)
{
    const uint32_t address = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}

#endif
