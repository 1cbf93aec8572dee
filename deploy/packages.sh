# What is installed, by purpose. Sourced by deploy/test and deploy/quickstart; each line is a Debian package.

packages_run="
  ca-certificates
  python3
"

packages_build="
  gcc
  libc6-dev
  cmake
  ninja-build
  pkg-config
  libcurl4-openssl-dev
  libgnutls28-dev
  libinih-dev
  libjansson-dev
  libjs-chart.js
  libmicrohttpd-dev
  libopenblas-dev
  libpcre2-dev
  libsqlite3-dev
  libssl-dev
  libsystemd-dev
  libutf8proc-dev
  libzip-dev
  libzstd-dev
  zlib1g-dev
"

# What `cmake --build --preset package` needs beside the build.
packages_package="
  dpkg-dev
  fakeroot
  file
  gzip
"

# The compiler that nvcc calls, and that of the CUDA module's emulation, where nvcc is.
packages_cuda="
  g++
"

packages_test="
  git
  curl
  fish
  libcmocka-dev
  librsvg2-bin
  man-db
  munge
  openssl
  nginx-light
  python3-venv
  r-base-core
  slurm-wlm
  sqlite3
  systemd
  zsh
  zstd
"

# What the tests of the dashboard drive; Ubuntu has no such packages, only a snap, which sees neither the tests' folders nor their driver.
packages_browser="
  chromium
  chromium-driver
"

# What only makes the tests quicker; where it cannot be had, they take Debian's whole Chromium.
packages_quicker="
  chromium-headless-shell
"

# Services that come with packages for tests. Tests start the programs themselves, on loopback; as services of the machine
# nobody has asked for them.
services_unwanted="
  munge
  nginx
  slurmctld
  slurmd
"

# Of these a test runs one program alone: unpacked, not installed, since installing starts a server.
packages_unpacked="
  prometheus
"

packages_lint="
  clang
  clang-tidy
  cppcheck
"
