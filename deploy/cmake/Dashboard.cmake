# bifurcated_dashboard(VARIABLE): the files of the dashboard, our own and the chart library as Debian's
# libjs-chart.js installs it. Without the library the list is empty: the program is whole, but serves no page.
function(bifurcated_dashboard variable)
  find_file(BIFURCATED_CHART_JS chart.min.js
    PATHS /usr/share/javascript/chart.js /usr/share/nodejs/chart.js/dist NO_DEFAULT_PATH
    DOC "Chart.js 3, minified")
  if(NOT BIFURCATED_CHART_JS)
    message(WARNING "chart.min.js was not found: building without the dashboard. "
      "Install libjs-chart.js, or set BIFURCATED_CHART_JS to the file.")
    set(${variable} "" PARENT_SCOPE)
    return()
  endif()
  set(patterns *.html *.css *.js *.svg)
  list(TRANSFORM patterns PREPEND ${CMAKE_SOURCE_DIR}/api/dashboard/)
  file(GLOB files CONFIGURE_DEPENDS ${patterns})
  set(${variable} ${files} ${BIFURCATED_CHART_JS} PARENT_SCOPE)
endfunction()
