# nvcc, the architectures and the toolkit's libraries, for gpu/cuda and tests/gpu.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX} AND EXISTS /usr/local/cuda/bin/nvcc)
  set(CMAKE_CUDA_COMPILER /usr/local/cuda/bin/nvcc)
endif()
# Machine code for each kind of processor, and for later ones an intermediate that the driver compiles. Set
# explicitly: nvcc's own default is older than all of them.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 86-real 89-real 90-real 100-real 100-virtual)
endif()
enable_language(CUDA)
find_package(CUDAToolkit 13.0 REQUIRED)
find_package(Threads REQUIRED)
