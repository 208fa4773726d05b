# Install: libraries, the header, a CMake package (actune::actune, actune::runtime) and pkg-config files.
include(CMakePackageConfigHelpers)

option(BUILD_SHARED_LIBS "What find_package(actune)'s plain target names stand for" OFF)
set(libraries actune_static actune_shared actune_runtime_static actune_runtime_shared)
set_target_properties(actune_static PROPERTIES EXPORT_NAME actune_static)
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

foreach(name actune actune_runtime)
  set(PC_NAME ${name})
  set(PC_PRIVATE "-lpthread -ldl -lm")
  set(PC_REQUIRES "")
  if(name STREQUAL actune)
    set(PC_REQUIRES "sqlite3")
  endif()
  configure_file(cmake/actune.pc.in ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
