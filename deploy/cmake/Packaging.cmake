# Debian packages, made by `cmake --preset package && cmake --build build/package --target package`: bifurcated, and
# bifurcated-cuda where the CUDA module is built. The module's package depends on nothing of NVIDIA's, since cuBLAS is not
# in Debian: the module is useless without it, but says so in one sentence (`bifurcated check`).
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME bifurcated)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "measures how a language model's weights move in training")
set(CPACK_PACKAGE_VENDOR "bifurcated")
set(CPACK_PACKAGE_CONTACT "The bifurcated authors <bifurcated@localhost.invalid>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_COMPONENTS_ALL bifurcated)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(scripts ${CMAKE_SOURCE_DIR}/deploy/debian)

set(CPACK_COMPONENT_BIFURCATED_DESCRIPTION
"The daemon bifurcated reads every training checkpoint that a model publishes
on the Hugging Face hub, measures how its unembedding matrix moves and its
perplexity, keeps the results in SQLite, and serves them as JSON and as a
dashboard. bifurcate is its client on the command line.")
set(CPACK_DEBIAN_BIFURCATED_PACKAGE_NAME bifurcated)
set(CPACK_DEBIAN_BIFURCATED_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_BIFURCATED_PACKAGE_DEPENDS
  "ca-certificates, passwd, systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_BIFURCATED_PACKAGE_SUGGESTS "bifurcated-cuda, bash-completion, prometheus")
set(CPACK_DEBIAN_BIFURCATED_PACKAGE_CONTROL_EXTRA
  ${scripts}/conffiles ${scripts}/postinst ${scripts}/prerm ${scripts}/postrm)

if(TARGET bifurcated_cuda)
  list(APPEND CPACK_COMPONENTS_ALL cuda)
  set(CPACK_COMPONENT_CUDA_DESCRIPTION
"This package holds the module with which the daemon measures tensors and
perplexity on NVIDIA GPUs, and the drop-in that lets its service use them. It
needs NVIDIA's driver and cuBLAS of CUDA 13, which are not part of Debian.")
  set(CPACK_DEBIAN_CUDA_PACKAGE_NAME bifurcated-cuda)
  set(CPACK_DEBIAN_CUDA_PACKAGE_SHLIBDEPS OFF) # cuBLAS belongs to no package
  set(CPACK_DEBIAN_CUDA_PACKAGE_DEPENDS "bifurcated (= ${PROJECT_VERSION}-1), libc6 (>= 2.34)")
  set(CPACK_DEBIAN_CUDA_PACKAGE_SUGGESTS "libcublas-13-0")
  set(CPACK_DEBIAN_CUDA_PACKAGE_CONTROL_EXTRA ${scripts}/cuda/postinst ${scripts}/cuda/postrm)
endif()
include(CPack)
