# A toolchain file: programs for arm64, built on another Debian (deploy/README.md, "arm64").
#   cmake --preset release --toolchain deploy/cmake/Arm64.cmake -B build/arm64
# It needs crossbuild-essential-arm64, qemu-user-static, and the libraries of Dependencies.cmake as NAME:arm64. Tests, and the programs
# that the build itself asks (the manual comes from the daemon's tables), run under qemu.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR /usr/bin/qemu-aarch64-static)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
