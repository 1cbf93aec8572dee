/* The kernels of scoring on the processor (emulation.h) against float64 loops; equal bits in every order of
 * threads. */
#include "tests/emulation/test_score.h"
#include "tests/emulation/emulation.h"

int main()
{
    int failures = 0;
    emulation::shared_bytes_max = 99 * 1024; /* the least of those that the module is for */
    for (const auto part : {test_score_rows, test_score_activation, test_score_attention, test_score_head,
                            test_score_routing, test_emulation})
        failures += part();
    if (!failures)
        std::puts("every kernel gives what float64 gives, in any order of threads");
    return failures != 0;
}
