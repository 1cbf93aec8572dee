#include "tests/gpu/faults.h"

#include <cstring>

namespace
{

enum class way { trap, address, misaligned };

__global__ void fault(way which, char *memory)
{
    if (which == way::trap)
        asm volatile("trap;");
    if (which == way::address)
        *reinterpret_cast<volatile int *>(16) = 1;
    if (which == way::misaligned)
        *reinterpret_cast<volatile int *>(memory + 1) = 1;
}

} // namespace

const char *faults_break(const char *name)
{
    char *memory = nullptr;
    way which = way::trap;
    if (std::strcmp(name, "address") == 0)
        which = way::address;
    else if (std::strcmp(name, "misaligned") == 0)
        which = way::misaligned;
    else if (std::strcmp(name, "trap") != 0)
        return nullptr;
    cudaError_t status = cudaSetDevice(0);
    if (status == cudaSuccess)
        status = cudaMalloc(&memory, 256);
    if (status != cudaSuccess)
        return nullptr;
    fault<<<1, 1>>>(which, memory);
    status = cudaDeviceSynchronize();
    return status == cudaSuccess ? nullptr : cudaGetErrorName(status);
}
