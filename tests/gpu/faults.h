/*
 * Kernels that break the context of this process, as a defect of a kernel or of the memory would. Nothing of
 * the device itself is harmed: other processes and later ones use it as before.
 */
#ifndef BIFURCATED_TESTS_GPU_FAULTS_H
#define BIFURCATED_TESTS_GPU_FAULTS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Runs a kernel on device 0, in the context that all of the process share, and waits for it. `way` is "trap"
 * (an instruction that ends the kernel), "address" (a store to where nothing is) or "misaligned" (a store to
 * an odd address). Returns the runtime's name of what came of it, "cudaErrorLaunchFailure" for a trap; NULL
 * if there is no such way or nothing broke. */
const char *faults_break(const char *way);

#ifdef __cplusplus
}
#endif

#endif
