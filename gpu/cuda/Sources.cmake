# What the module is made of, for it and for tests/emulation. Set `root` before.
file(GLOB cuda_host_sources CONFIGURE_DEPENDS ${root}/gpu/cuda/*.c)
file(GLOB cuda_kernel_sources CONFIGURE_DEPENDS ${root}/gpu/cuda/*.cu)
# What it needs of the layers below, compiled once more: position-independent and hidden.
set(cuda_shared_sources
  ${root}/daemon/base/err.c
  ${root}/gpu/score.c
  ${root}/gpu/score_alibi.c
  ${root}/gpu/score_architecture.c
  ${root}/gpu/score_config.c
  ${root}/gpu/score_names.c
  ${root}/gpu/score_plan.c
  ${root}/gpu/score_rotary.c
  ${root}/gpu/score_tiles.c
  ${root}/gpu/score_weights.c
  ${root}/gpu/score_xielu.c
  ${root}/gpu/statistics.c
  ${root}/gpu/statistics_join.c
  ${root}/gpu/tensor.c)
