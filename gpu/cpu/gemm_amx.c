#include "gpu/cpu/gemm_amx.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TARGET                                                                                               \
    __attribute__((target("avx,avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))
#define INLINE static inline __attribute__((always_inline)) TARGET

#define TILE_ROWS GEMM_TILE_ROWS
#define TILE_DEPTH GEMM_TILE_COLUMNS /* bfloat16 in a row of a tile */
#define TILE_BYTES 1024U
#define PIECES 3U         /* of a float32 */
#define BLOCK_ROWS 256U   /* rows of A that are split at a time ... */
#define BLOCK_DEPTH 1024U /* ... and how many columns: 1.5 MiB, which a second-level cache holds */

/* linux/arch/x86/include/uapi/asm/prctl.h; the number of the tile data in XCR0 */
#define REQUEST_PERMISSION 0x1023
#define FEATURE_TILE_DATA 18

int gemm_amx_start(enum cpu_isa isa)
{
    unsigned eax, ebx, ecx, edx;
    const unsigned amx_bf16 = 1U << 22, amx_tile = 1U << 24, avx512_bf16 = 1U << 5;
    if (isa != CPU_ISA_AVX512)
        return 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(edx & amx_bf16) || !(edx & amx_tile))
        return 0;
    if (!__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) || !(eax & avx512_bf16))
        return 0;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, FEATURE_TILE_DATA) == 0;
}

static unsigned piece_count(enum tensor_dtype dtype)
{
    return dtype == TENSOR_DTYPE_BF16 ? 1 : dtype == TENSOR_DTYPE_F16 ? 2 : PIECES;
}

static uint64_t round_up(uint64_t value, uint64_t step)
{
    return (value + step - 1) / step * step;
}

uint64_t gemm_amx_bytes(enum tensor_dtype dtype, uint64_t rows, uint64_t columns)
{
    return round_up(rows, GEMM_ROWS_STEP) * round_up(columns, TILE_DEPTH) * 2 * piece_count(dtype);
}

size_t gemm_amx_workspace_bytes(void)
{
    return (size_t)BLOCK_ROWS * BLOCK_DEPTH * 2 * PIECES;
}

/* Splits 32 floats into pieces of 32 bfloat16 each, largest first; the sum of three is exact. */
INLINE void split(__m512 first, __m512 second, unsigned pieces, __m512i *out)
{
    for (unsigned i = 0; i < pieces; i++) {
        out[i] = (__m512i)_mm512_cvtne2ps_pbh(second, first);
        __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(out[i]));
        __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(out[i], 1));
        first = _mm512_sub_ps(first, _mm512_castsi512_ps(_mm512_slli_epi32(low, 16)));
        second = _mm512_sub_ps(second, _mm512_castsi512_ps(_mm512_slli_epi32(high, 16)));
    }
}

INLINE __m512 load_floats(const float *at, size_t count)
{
    if (count >= 16)
        return _mm512_loadu_ps(at);
    return _mm512_maskz_loadu_ps((__mmask16)((1U << count) - 1U), at);
}

/* Tiles of B lie as [rows / 16][columns / 32][piece]; in a tile, row k holds columns 2 k and 2 k + 1 of each
 * of 16 rows of B. */
TARGET void gemm_amx_fill(struct gemm_matrix *matrix, size_t row, size_t column,
                          float tile[GEMM_TILE_ROWS][GEMM_TILE_COLUMNS])
{
    const unsigned pieces = piece_count(matrix->dtype);
    const size_t depth = (size_t)round_up(matrix->columns, TILE_DEPTH);
    uint32_t pairs[PIECES][TILE_ROWS][TILE_DEPTH / 2];
    unsigned char *out = (unsigned char *)matrix->data + (row * depth + column * TILE_ROWS) * 2 * pieces;
    for (size_t i = 0; i < TILE_ROWS; i++) {
        __m512i parts[PIECES];
        split(_mm512_loadu_ps(tile[i]), _mm512_loadu_ps(tile[i] + 16), PIECES, parts);
        for (unsigned piece = 0; piece < PIECES; piece++)
            _mm512_storeu_si512(pairs[piece][i], parts[piece]);
    }
    for (unsigned piece = 0; piece < pieces; piece++)
        for (size_t k = 0; k < TILE_DEPTH / 2; k++)
            for (size_t i = 0; i < TILE_ROWS; i++)
                memcpy(out + (size_t)piece * TILE_BYTES + (k * TILE_ROWS + i) * 4, &pairs[piece][i][k], 4);
}

/* Splits rows of A into tiles [rows / 16][depth / 32][piece] of 16 rows by 32 columns. */
TARGET static void split_rows(const float *a, size_t a_stride, size_t row_count, size_t depth,
                              unsigned char *out)
{
    size_t chunks = (depth + TILE_DEPTH - 1) / TILE_DEPTH, padded = (size_t)round_up(row_count, TILE_ROWS);
    for (size_t row = 0; row < padded; row++) {
        unsigned char *tile =
            out + row / TILE_ROWS * chunks * PIECES * TILE_BYTES + row % TILE_ROWS * TILE_DEPTH * 2;
        for (size_t at = 0; at < depth; at += TILE_DEPTH, tile += (size_t)PIECES * TILE_BYTES) {
            __m512i pieces[PIECES] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
            const float *from = a + row * a_stride + at;
            size_t left = depth - at;
            if (row < row_count)
                split(load_floats(from, left),
                      left > 16 ? load_floats(from + 16, left - 16) : _mm512_setzero_ps(), PIECES, pieces);
            for (unsigned piece = 0; piece < PIECES; piece++)
                _mm512_store_si512(tile + (size_t)piece * TILE_BYTES, pieces[piece]);
        }
    }
}

/* One product of pieces: the tiles of A (two below each other) are 4 and 5, those of B 6 and 7. */
#define LOAD_A(piece)                                                                                        \
    _tile_loadd(4, a + (piece)*TILE_BYTES, 64);                                                              \
    if (is_tall)                                                                                             \
    _tile_loadd(5, a + a_step + (piece)*TILE_BYTES, 64)
#define LOAD_B(piece)                                                                                        \
    _tile_loadd(6, b + (piece)*TILE_BYTES, 64);                                                              \
    _tile_loadd(7, b + b_step + (piece)*TILE_BYTES, 64)
#define MULTIPLY()                                                                                           \
    _tile_dpbf16ps(0, 4, 6);                                                                                 \
    _tile_dpbf16ps(1, 4, 7);                                                                                 \
    if (is_tall) {                                                                                           \
        _tile_dpbf16ps(2, 5, 6);                                                                             \
        _tile_dpbf16ps(3, 5, 7);                                                                             \
    }

/* 32 (or 16) rows of A times 32 rows of B, over `chunks` tiles of depth; small partial products first. */
INLINE void multiply_tiles(unsigned b_pieces, int is_tall, const unsigned char *a, size_t a_step,
                           const unsigned char *b, size_t b_step, size_t chunks, float *out)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t i = 0; i < chunks; i++, a += PIECES * TILE_BYTES, b += (size_t)b_pieces * TILE_BYTES) {
        LOAD_B(0);
        LOAD_A(2);
        MULTIPLY();
        LOAD_A(1);
        MULTIPLY();
        if (b_pieces >= 2) {
            LOAD_B(1);
            MULTIPLY();
        }
        LOAD_A(0);
        if (b_pieces >= 2) {
            MULTIPLY();
        }
        if (b_pieces >= 3) {
            LOAD_B(2);
            MULTIPLY();
        }
        if (b_pieces >= 2) {
            LOAD_B(0);
        }
        MULTIPLY();
    }
    _tile_stored(0, out, 128);
    _tile_stored(1, out + 16, 128);
    if (is_tall) {
        _tile_stored(2, out + 16 * 32, 128);
        _tile_stored(3, out + 16 * 32 + 16, 128);
    }
}

/* Rows of 32 floats to where they belong. */
INLINE void place(const float *from, size_t rows, size_t columns, float *out, size_t out_stride, int is_sum)
{
    const uint32_t columns_mask = columns >= 32 ? 0xffffffffU : (1U << columns) - 1U;
    const __mmask16 low = (__mmask16)(columns_mask & 0xffffU);
    const __mmask16 high = (__mmask16)(columns_mask >> 16);
    for (size_t i = 0; i < rows; i++, from += 32, out += out_stride) {
        __m512 first = _mm512_load_ps(from), second = _mm512_load_ps(from + 16);
        if (is_sum) {
            first = _mm512_add_ps(first, _mm512_maskz_loadu_ps(low, out));
            second = _mm512_add_ps(second, _mm512_maskz_loadu_ps(high, out + 16));
        }
        _mm512_mask_storeu_ps(out, low, first);
        _mm512_mask_storeu_ps(out + 16, high, second);
    }
}

/* Rows of A as tiles, and those of B beside them: `chunks` tiles of depth. */
struct block {
    const unsigned char *a, *b;
    size_t chunks, b_step;
    size_t rows, columns; /* of the product */
};

INLINE void multiply_block(unsigned b_pieces, const struct block *block, float *out, size_t out_stride,
                           int is_sum)
{
    float product[32 * 32] __attribute__((aligned(64)));
    const size_t a_step = block->chunks * PIECES * TILE_BYTES, rows = block->rows, columns = block->columns;
    const unsigned char *b = block->b;
    for (size_t column = 0; column < columns; column += 32, b += 2 * block->b_step) {
        size_t width = columns - column < 32 ? columns - column : 32;
        for (size_t row = 0; row < rows; row += 32) {
            size_t height = rows - row < 32 ? rows - row : 32;
            const unsigned char *a = block->a + row / TILE_ROWS * a_step;
            if (height > 16)
                multiply_tiles(b_pieces, 1, a, a_step, b, block->b_step, block->chunks, product);
            else
                multiply_tiles(b_pieces, 0, a, a_step, b, block->b_step, block->chunks, product);
            place(product, height, width, out + row * out_stride + column, out_stride, is_sum);
        }
    }
}

/* All eight tiles are 16 rows of 64 bytes. */
TARGET static void configure(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } configuration __attribute__((aligned(64))) = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        configuration.row_bytes[i] = 64;
        configuration.rows[i] = TILE_ROWS;
    }
    _tile_loadconfig(&configuration);
}

TARGET void gemm_amx_multiply(const struct gemm_matrix *matrix, size_t begin, size_t end,
                              const struct gemm_rows *rows, void *workspace)
{
    unsigned pieces = piece_count(matrix->dtype);
    size_t chunks_all = (size_t)round_up(matrix->columns, TILE_DEPTH) / TILE_DEPTH;
    size_t b_step = chunks_all * pieces * TILE_BYTES;
    const unsigned char *b = (const unsigned char *)matrix->data + begin / TILE_ROWS * b_step;
    configure();
    for (size_t row = 0; row < rows->count; row += BLOCK_ROWS) {
        struct block block = {.a = workspace,
                              .b_step = b_step,
                              .rows = rows->count - row < BLOCK_ROWS ? rows->count - row : BLOCK_ROWS,
                              .columns = end - begin};
        for (size_t at = 0; at < matrix->columns; at += BLOCK_DEPTH) {
            size_t left = matrix->columns - at, depth = left < BLOCK_DEPTH ? left : BLOCK_DEPTH;
            float *to = rows->out + row * rows->out_stride;
            int adds = rows->is_sum || at > 0;
            block.chunks = (depth + TILE_DEPTH - 1) / TILE_DEPTH;
            block.b = b + at / TILE_DEPTH * pieces * TILE_BYTES;
            split_rows(rows->a + row * rows->a_stride + at, rows->a_stride, block.rows, depth, workspace);
            if (pieces == 1)
                multiply_block(1, &block, to, rows->out_stride, adds);
            else if (pieces == 2)
                multiply_block(2, &block, to, rows->out_stride, adds);
            else
                multiply_block(3, &block, to, rows->out_stride, adds);
        }
    }
    _tile_release();
}

#else

int gemm_amx_start(enum cpu_isa isa)
{
    (void)isa;
    return 0;
}

uint64_t gemm_amx_bytes(enum tensor_dtype dtype, uint64_t rows, uint64_t columns)
{
    (void)dtype, (void)rows, (void)columns;
    return 0;
}

size_t gemm_amx_workspace_bytes(void)
{
    return 0;
}

void gemm_amx_fill(struct gemm_matrix *matrix, size_t row, size_t column,
                   float tile[GEMM_TILE_ROWS][GEMM_TILE_COLUMNS])
{
    (void)matrix, (void)row, (void)column, (void)tile;
}

void gemm_amx_multiply(const struct gemm_matrix *matrix, size_t begin, size_t end,
                       const struct gemm_rows *rows, void *workspace)
{
    (void)matrix, (void)begin, (void)end, (void)rows, (void)workspace;
}

#endif
