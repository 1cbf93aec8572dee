# The libraries, all from Debian 12; a missing one is named with its package.
find_package(PkgConfig REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)

function(bifurcated_require prefix module package)
  pkg_check_modules(${prefix} IMPORTED_TARGET GLOBAL ${module})
  if(NOT ${prefix}_FOUND)
    message(FATAL_ERROR "${module} was not found: install ${package}, or run deploy/test which installs all")
  endif()
endfunction()

bifurcated_require(CURL       libcurl         libcurl4-openssl-dev)
bifurcated_require(JANSSON    jansson         libjansson-dev)
bifurcated_require(ZIP        libzip          libzip-dev)
bifurcated_require(PCRE2      libpcre2-8      libpcre2-dev)
bifurcated_require(UTF8PROC   libutf8proc     libutf8proc-dev)
bifurcated_require(ZLIB       zlib            zlib1g-dev)
bifurcated_require(ZSTD       libzstd         libzstd-dev)
bifurcated_require(SQLITE     sqlite3         libsqlite3-dev)
bifurcated_require(MICROHTTPD libmicrohttpd   libmicrohttpd-dev)
bifurcated_require(INIH       inih            libinih-dev)
bifurcated_require(BLAS       openblas        libopenblas-dev)

# Optional: without libsystemd the daemon does not notify a supervisor.
pkg_check_modules(SYSTEMD IMPORTED_TARGET GLOBAL libsystemd)
if(SYSTEMD_FOUND)
  set(BIFURCATED_SYSTEMD PkgConfig::SYSTEMD)
  add_compile_definitions(BIFURCATED_HAVE_SYSTEMD)
endif()
