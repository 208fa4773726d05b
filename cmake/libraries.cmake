# actune::runtime  what a deployed program links: libc alone.
# actune::actune   all of it: generation, compilation, the database, tuning.
find_package(SQLite3 REQUIRED)
find_package(Threads REQUIRED)

set(RUNTIME_SOURCES_DIRS runtime/base)
file(GLOB RUNTIME_SOURCES CONFIGURE_DEPENDS runtime/base/*.c runtime/pool.c runtime/launch.c)
file(GLOB FULL_SOURCES CONFIGURE_DEPENDS runtime/*.c runtime/backend/*.c codegen/*.c db/*.c tuner/*.c export/*.c export/support/*.c)
list(REMOVE_ITEM FULL_SOURCES ${RUNTIME_SOURCES})

set(ACTUNE_INCLUDES ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/runtime/include)

function(actune_compile name)
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/runtime/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}> PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_BINARY_DIR})
  target_compile_definitions(${name} PRIVATE ACTUNE_VERSION_TEXT="${PROJECT_VERSION}")
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:actune_options>)
  set_target_properties(${name} PROPERTIES C_VISIBILITY_PRESET hidden)
endfunction()

# Built-in activations: C definitions -> graphs, by libclang, at build time.
file(GLOB BUILTIN_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/templates/activations/*.c)
set(ACTUNE_BUILTINS ${CMAKE_CURRENT_BINARY_DIR}/builtins.c)
add_executable(actune_make_builtins tools/make_builtins.c codegen/parse_clang.c codegen/graph.c codegen/requirement.c ${RUNTIME_SOURCES})
file(GLOB BUILTIN_TOOL_EXTRA CONFIGURE_DEPENDS codegen/clang_*.c codegen/graph_*.c)
target_sources(actune_make_builtins PRIVATE ${BUILTIN_TOOL_EXTRA})
actune_compile(actune_make_builtins)
target_link_libraries(actune_make_builtins PRIVATE Threads::Threads ${CMAKE_DL_LIBS} m)
add_custom_command(OUTPUT ${ACTUNE_BUILTINS}
  COMMAND actune_make_builtins ${ACTUNE_BUILTINS} ${CMAKE_CURRENT_SOURCE_DIR}/tests/golden/builtins.txt ${BUILTIN_SOURCES}
  DEPENDS actune_make_builtins ${BUILTIN_SOURCES} VERBATIM)

add_library(actune_runtime_objects OBJECT ${RUNTIME_SOURCES})
actune_compile(actune_runtime_objects)
add_library(actune_objects OBJECT ${FULL_SOURCES} ${ACTUNE_EMBEDDED} ${ACTUNE_SCHEMA} ${ACTUNE_BUILTINS} ${ACTUNE_EXPORT_EMBEDDED})
actune_compile(actune_objects)

set(RUNTIME_LIBS Threads::Threads ${CMAKE_DL_LIBS} m)
foreach(kind STATIC SHARED)
  string(TOLOWER ${kind} suffix)
  add_library(actune_runtime_${suffix} ${kind} $<TARGET_OBJECTS:actune_runtime_objects>)
  add_library(actune_${suffix} ${kind} $<TARGET_OBJECTS:actune_runtime_objects> $<TARGET_OBJECTS:actune_objects>)
  target_link_libraries(actune_runtime_${suffix} PRIVATE ${RUNTIME_LIBS})
  target_link_libraries(actune_${suffix} PRIVATE ${RUNTIME_LIBS} SQLite::SQLite3)
  set_target_properties(actune_runtime_${suffix} PROPERTIES OUTPUT_NAME actune_runtime)
  set_target_properties(actune_${suffix} PROPERTIES OUTPUT_NAME actune)
  foreach(lib actune_runtime_${suffix} actune_${suffix})
    target_include_directories(${lib} PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/runtime/include>
      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    set_target_properties(${lib} PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
  endforeach()
endforeach()
