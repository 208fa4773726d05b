# Install: libraries, the header, a CMake package (actune::actune, actune::runtime) and pkg-config files.
include(CMakePackageConfigHelpers)

set(libraries actune_static actune_shared actune_runtime_static actune_runtime_shared)
install(TARGETS ${libraries} EXPORT actune-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY runtime/include/actune DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/actune)
install(EXPORT actune-targets NAMESPACE actune:: DESTINATION ${package_folder})
configure_package_config_file(cmake/actune-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/actune-config.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/actune-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/actune-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/actune-config-version.cmake
  DESTINATION ${package_folder})

# actune_add_kernels: kernels made when a user's project is built.
set(ACTUNE_EXPORT_C_SOURCES ${ACTUNE_EXPORT_SOURCES})
list(FILTER ACTUNE_EXPORT_C_SOURCES INCLUDE REGEX "\\.c$")
file(RELATIVE_PATH PACKAGE_DEPTH /prefix/${package_folder} /prefix)
string(REGEX MATCHALL "\\.\\." PACKAGE_DEPTH "${PACKAGE_DEPTH}")
list(LENGTH PACKAGE_DEPTH PACKAGE_DEPTH)
configure_file(cmake/actune-kernels.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/actune-kernels.cmake @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/actune-kernels.cmake DESTINATION ${package_folder})

# `cmake --install --prefix` and packagers move the folder, so its place is told from where the .pc file lies; only folders that
# were given as absolute paths stay where they are.
set(PC_PREFIX ${CMAKE_INSTALL_PREFIX})
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  string(REGEX REPLACE "/$" "" up "${up}")
  set(PC_PREFIX "\${pcfiledir}/${up}")
endif()
foreach(kind LIBDIR INCLUDEDIR BINDIR)
  set(PC_${kind} ${CMAKE_INSTALL_${kind}})
  if(NOT IS_ABSOLUTE "${PC_${kind}}")
    set(PC_${kind} "\${prefix}/${PC_${kind}}")
  endif()
endforeach()

set(packages actune actune_runtime)
if(TARGET actune_monitor_static)
  list(APPEND packages actune_monitor)
  install(TARGETS actune_monitor_static actune_monitor_shared EXPORT actune-monitor-targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY monitor/include/actune DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT actune-monitor-targets NAMESPACE actune:: DESTINATION ${package_folder})
  install(FILES cmake/protobuf-c.cmake DESTINATION ${package_folder} RENAME actune-protobuf-c.cmake)
endif()
foreach(name ${packages})
  set(PC_NAME ${name})
  set(PC_PRIVATE "-lpthread -ldl -lm")
  set(PC_REQUIRES "")
  if(name STREQUAL actune)
    set(PC_REQUIRES "sqlite3")
  elseif(name STREQUAL actune_monitor)
    set(PC_REQUIRES "libprotobuf-c")
    set(PC_PRIVATE "-lpthread -lm")
  endif()
  configure_file(cmake/actune.pc.in ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
