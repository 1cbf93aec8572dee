# cmake -DFROM=x.cu -DTO=x.cpp -DKERNELS=kernels/x.cpp -P cut.cmake: a .cu as C++ for the processor. Launches become calls of
# tests/emulation/runtime.h, the matrix units' instructions those of tests/emulation/mma.h. KERNELS lacks the launchers, which would
# have every kernel that the module has compiled.
file(READ ${FROM} text)
# Shared memory whose size the launch gives.
string(REGEX REPLACE "extern __shared__ ([a-z0-9_]+) ([a-z]+)\\[\\];" "\\1 *\\2 = (\\1 *)emulation::block_memory;" text "${text}")
string(REGEX REPLACE "([a-z_]+_kernel(<[A-Za-z0-9_, ]+>)?)[ \n]*<<<([^;]*)>>>[ \n]*\\(([^;]*)\\);"
  "emulation::launch_later(emulation::configure(\\3), \\1, \\4);" text "${text}")
# What a kernel declares counts as well, and is not zero either.
string(REGEX REPLACE "(__shared__ [a-z0-9_ ]+ ([a-z]+)\\[[^;]*\\];)" "\\1 emulation::declare_shared(\\2, sizeof(\\2));" text "${text}")
string(REPLACE "#include \"gpu/cuda/score_mma.cuh\"" "#include \"tests/emulation/mma.h\"" text "${text}")
if(text MATCHES "<<<|asm volatile")
  message(FATAL_ERROR "${FROM}: a launch or an instruction that is not understood")
endif()
string(PREPEND text "#include \"tests/emulation/kernels.h\"\n#line 1 \"${FROM}\"\n")
file(WRITE ${TO} "${text}")
string(FIND "${text}" "extern \"C\"" begin)
while(NOT begin EQUAL -1)
  string(SUBSTRING "${text}" 0 ${begin} before)
  string(SUBSTRING "${text}" ${begin} -1 text)
  string(FIND "${text}" "\n}\n" end)
  math(EXPR end "${end} + 2")
  string(SUBSTRING "${text}" ${end} -1 text)
  string(PREPEND text "${before}")
  string(FIND "${text}" "extern \"C\"" begin)
endwhile()
file(WRITE ${KERNELS} "${text}")
