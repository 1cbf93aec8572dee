# What is installed where, in two components: `bifurcated` (daemon, client, everything around them) and `cuda` (the
# module and what a service needs for it). deploy/cmake/Packaging.cmake makes a package of each.
set(docs ${CMAKE_INSTALL_DOCDIR})
set(generated ${CMAKE_BINARY_DIR}/install)
set(systemd_units lib/systemd/system)

# bifurcated_gzip(NAME SOURCE [DEPENDS...]): generated/NAME.gz, without a date in it.
function(bifurcated_gzip name source)
  add_custom_command(OUTPUT ${generated}/${name}.gz
    COMMAND ${CMAKE_COMMAND} -E make_directory ${generated}
    COMMAND gzip -9nc ${source} > ${generated}/${name}.gz
    DEPENDS ${source} ${ARGN} VERBATIM)
  set_property(GLOBAL APPEND PROPERTY BIFURCATED_GENERATED ${generated}/${name}.gz)
endfunction()

# The manual of the daemon comes from the daemon's own tables.
add_custom_command(OUTPUT ${generated}/bifurcated.8
  COMMAND ${CMAKE_COMMAND} -E make_directory ${generated}
  COMMAND bifurcated --print-man > ${generated}/bifurcated.8
  DEPENDS bifurcated VERBATIM)
bifurcated_gzip(bifurcated.8 ${generated}/bifurcated.8)
bifurcated_gzip(bifurcate.1 ${CMAKE_SOURCE_DIR}/api/client/bifurcate.1)
bifurcated_gzip(bifurcated.conf.5 ${CMAKE_SOURCE_DIR}/deploy/man/bifurcated.conf.5)
bifurcated_gzip(changelog.Debian ${CMAKE_SOURCE_DIR}/deploy/debian/changelog)
bifurcated_gzip(changelog ${CMAKE_SOURCE_DIR}/CHANGELOG.md)

# The configuration as shipped, with the folders of a service.
file(READ ${CMAKE_SOURCE_DIR}/deploy/bifurcated.conf configuration)
string(REPLACE "#state =" "state = /var/lib/bifurcated" configuration "${configuration}")
string(REPLACE "#hub-cache =" "hub-cache = /var/cache/bifurcated/hub" configuration "${configuration}")
file(WRITE ${generated}/bifurcated.conf "${configuration}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/deploy/bifurcated.conf)

# The units name the programs where they are installed.
set(units bifurcated.service bifurcated-worker@.service)
foreach(name ${units})
  file(READ ${CMAKE_SOURCE_DIR}/deploy/systemd/${name} unit)
  string(REPLACE "/usr/bin/" "${CMAKE_INSTALL_FULL_BINDIR}/" unit "${unit}")
  string(REPLACE " /etc/bifurcated/" " ${CMAKE_INSTALL_FULL_SYSCONFDIR}/bifurcated/" unit "${unit}")
  file(WRITE ${generated}/${name} "${unit}")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/deploy/systemd/${name})
  install(FILES ${generated}/${name} DESTINATION ${systemd_units} COMPONENT bifurcated)
endforeach()

get_property(files GLOBAL PROPERTY BIFURCATED_GENERATED)
add_custom_target(documentation ALL DEPENDS ${files})

install(TARGETS bifurcated bifurcate RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT bifurcated)
install(FILES ${generated}/bifurcated.8.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT bifurcated)
install(FILES ${generated}/bifurcate.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT bifurcated)
install(FILES ${generated}/bifurcated.conf.5.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man5 COMPONENT bifurcated)
install(FILES deploy/completion/bifurcate deploy/completion/bifurcated
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT bifurcated)
install(FILES deploy/completion/_bifurcate deploy/completion/_bifurcated
  DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT bifurcated)
install(FILES deploy/completion/bifurcate.fish deploy/completion/bifurcated.fish
  DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT bifurcated)
install(FILES ${generated}/bifurcated.conf DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/bifurcated COMPONENT bifurcated)
install(FILES deploy/systemd/bifurcated.sysusers DESTINATION lib/sysusers.d RENAME bifurcated.conf COMPONENT bifurcated)
install(FILES deploy/README.md api/EXAMPLES.md daemon/analysis/SCIENCE.md DESTINATION ${docs} COMPONENT bifurcated)
install(DIRECTORY deploy/grafana deploy/prometheus deploy/kubernetes DESTINATION ${docs}/examples COMPONENT bifurcated)
foreach(component bifurcated cuda)
  set(folder ${CMAKE_INSTALL_DATADIR}/doc/bifurcated)
  if(component STREQUAL "cuda")
    string(APPEND folder "-cuda")
  endif()
  install(FILES deploy/debian/copyright ${generated}/changelog.Debian.gz DESTINATION ${folder} COMPONENT ${component})
endforeach()
install(FILES ${generated}/changelog.gz DESTINATION ${docs} COMPONENT bifurcated)

# The module itself is installed by gpu/cuda; the daemon looks for it at one absolute path, whether it is built here or
# comes from the package bifurcated-cuda.
if(TARGET bifurcated_cuda)
  foreach(name ${units})
    install(FILES deploy/systemd/gpu.conf DESTINATION ${systemd_units}/${name}.d COMPONENT cuda)
  endforeach()
endif()
