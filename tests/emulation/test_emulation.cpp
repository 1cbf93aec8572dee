/* What the emulation itself must notice of a kernel: whatever a GPU would not forgive, or would do anything
 * with. */
#include "tests/emulation/runtime.h"

#include "tests/emulation/kernels.h"

#include "tests/emulation/checks.h"
#include "tests/emulation/test_score.h"

#include <sys/wait.h>
#include <unistd.h>

/* Whether a process ends itself with these words; NULL: it ends well. */
static bool ends_with(const std::function<void()> &do_it, const char *words)
{
    int ends[2], status = 0;
    char said[512] = "";
    if (pipe(ends))
        return false;
    const pid_t child = fork();
    if (child == 0) {
        (void)std::atexit([] { _exit(1); }); /* before anything looks for leaks */
        (void)dup2(ends[1], STDERR_FILENO);
        do_it();
        _exit(0);
    }
    (void)close(ends[1]);
    for (size_t size = 0; size < sizeof said - 1;) {
        const ssize_t got = read(ends[0], said + size, sizeof said - 1 - size);
        if (got <= 0)
            break;
        size += (size_t)got;
    }
    (void)close(ends[0]);
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return false;
    return words ? WEXITSTATUS(status) && std::strstr(said, words) : !WEXITSTATUS(status);
}

/* -- Threads of a warp -- */

template <typename F> static std::function<void()> in_a_warp(const F &work)
{
    return [work] { emulation::launch({1, 1, 1}, 32, 0, 1, work); };
}

static void exchanges()
{
    CHECK(ends_with(in_a_warp([] { (void)__shfl_xor_sync(~0U, 1.0F, 1); }), nullptr));
    CHECK(ends_with(in_a_warp([] { (void)__shfl_xor_sync(0xffffU, 1.0F, 1); }), "a part of a warp"));
    CHECK(ends_with(in_a_warp([] {
                        if (threadIdx.x < 16)
                            (void)__shfl_xor_sync(~0U, 1.0F, 1);
                        else
                            (void)__shfl_xor_sync(~0U, 1.0, 1);
                    }),
                    "meet in different calls"));
    CHECK(ends_with(in_a_warp([] {
                        if (threadIdx.x == 3)
                            __syncwarp();
                        else
                            (void)__ballot_sync(~0U, true);
                    }),
                    "meet in different calls"));
    CHECK(ends_with(in_a_warp([] {
                        if (threadIdx.x != 3)
                            __syncwarp();
                    }),
                    "wait for others that do not come"));
}

/* -- Shared memory: what a kernel declares, and what a launch gives -- */

static void takes_20_kib(int)
{
    static unsigned char memory[20 << 10];
    emulation::declare_shared(memory, sizeof memory);
}

/* Allowed 0: as kernels are from the beginning. */
static void launch_with(size_t given, size_t allowed)
{
    struct emulation_device device = {};
    cudaStream_t stream;
    device.shared_bytes_max = 99 << 10;
    device.memory_bytes = 1 << 20;
    emulation_reset(&device);
    if (cudaSetDevice(0) || cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) ||
        (allowed &&
         cudaFuncSetAttribute(takes_20_kib, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)allowed)))
        return;
    emulation::launch_later(emulation::configure(1, 32, given, stream), takes_20_kib, 0);
    (void)cudaStreamSynchronize(stream);
}

static void shared_memory()
{
    const char *words = "more shared memory than a block may have";
    CHECK(ends_with([] { launch_with(28 << 10, 0); }, nullptr));
    CHECK(ends_with([] { launch_with(29 << 10, 0); }, words));
    CHECK(ends_with([] { launch_with(60 << 10, 79 << 10); }, nullptr));
    CHECK(ends_with([] { launch_with(60 << 10, 80 << 10); }, words));
}

int test_emulation()
{
    exchanges();
    shared_memory();
    return failures;
}
