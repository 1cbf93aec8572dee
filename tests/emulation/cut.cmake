# cmake -DFROM=x.cu -DTO=x.inc -P cut.cmake: the kernels of a .cu, up to the banner of their launchers.
file(READ ${FROM} text)
string(FIND "${text}" "/* -- Kernel launchers" end)
if(end EQUAL -1)
  message(FATAL_ERROR "${FROM}: no banner of launchers")
endif()
string(SUBSTRING "${text}" 0 ${end} text)
# Shared memory whose size the launch gives.
string(REPLACE "extern __shared__ float queries[];" "float *queries = (float *)emulation::block_memory;" text "${text}")
file(WRITE ${TO} "${text}")
