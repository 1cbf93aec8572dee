# The wall of warnings, one per line so that each can be discussed. Every target of ours gets it.
set(BIFURCATED_WARNINGS
  -Wall
  -Wextra
  -Wpedantic
  -Wshadow
  -Wconversion
  -Wsign-conversion
  -Wformat=2
  -Wstrict-prototypes
  -Wold-style-definition
  -Wmissing-prototypes
  -Wimplicit-fallthrough
  -Wcast-align
  -Wcast-qual
  -Wwrite-strings
  -Wundef
  -Wvla
  -Wdate-time
  -Wnull-dereference
  -Wdouble-promotion
  -Wpointer-arith
)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  list(APPEND BIFURCATED_WARNINGS
    -Wlogical-op
    -Wduplicated-cond
    -Wduplicated-branches
    -Wtrampolines
    -Walloca
    -Wno-psabi             # vectors are passed to inlined functions only
  -Wno-format-truncation # snprintf cuts on purpose: messages have a fixed room
  )
endif()

# bifurcated_harden(TARGET): the warnings and the run-time protections of every target.
# -ffp-contract=off and no fast-math: a sum must not depend on what the compiler fused.
function(bifurcated_harden target)
  target_compile_options(${target} PRIVATE ${BIFURCATED_WARNINGS}
    -fstack-protector-strong -fno-common -ffp-contract=off)
  if(BIFURCATED_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE _FILE_OFFSET_BITS=64
    BIFURCATED_VERSION="${PROJECT_VERSION}")
  if(NOT BIFURCATED_SANITIZE AND CMAKE_BUILD_TYPE MATCHES "Rel")
    target_compile_definitions(${target} PRIVATE _FORTIFY_SOURCE=2)
    get_target_property(type ${target} TYPE)
    if(type STREQUAL "EXECUTABLE") # addresses of libraries are found at the start, and read-only from then on
      target_link_options(${target} PRIVATE -Wl,-z,relro,-z,now)
    endif()
  endif()
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
endfunction()
