/*
 * Instructions that C++ has no name for (PTX). tests/emulation has the same functions in C++.
 *
 * The matrix units': all 32 lanes of a warp call each of them together. With g = l / 4 and t = l % 4, lane l
 * has:
 *   a[0 ... 3] (16 x 16): rows g, g + 8, g, g + 8; columns 2 t and 2 t + 1, from the third on 8 later
 *   b0, b1 (16 x 8): rows 2 t and 2 t + 1, in b1 8 later; column g
 *   c[0 ... 3] (16 x 8): row g, in the last two g + 8; columns 2 t and 2 t + 1
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

/* -- Copies to shared memory that the thread does not wait for, in groups ------------------------------- */

/* 16 bytes, both addresses multiples of 16; zeros where there is nothing, and then `from` is not read. */
static __device__ __forceinline__ void copy_start(void *to, const void *from, bool is_there)
{
    const uint32_t address = (uint32_t)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(address), "l"(from), "r"(is_there ? 16 : 0)
                 : "memory");
}

/* What the thread has started since the group before is a group (of nothing, perhaps). */
static __device__ __forceinline__ void copy_group()
{
    asm volatile("cp.async.commit_group;" : : : "memory");
}

/* Until all but the thread's last COUNT groups have arrived. */
template <int COUNT> static __device__ __forceinline__ void copy_wait()
{
    asm volatile("cp.async.wait_group %0;" : : "n"(COUNT) : "memory");
}

/* -- 2^x to 2 units in the last place; 0 below the normal numbers --------------------------------------- */

static __device__ __forceinline__ float exp2_near(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#endif
