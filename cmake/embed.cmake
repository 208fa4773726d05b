# Build-time tools: `embed` turns text files into a C table; `make_builtins` turns templates/activations into graphs.
add_executable(actune_embed tools/embed.c)
target_link_libraries(actune_embed PRIVATE actune_options)

file(GLOB_RECURSE ACTUNE_TEMPLATES CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}/templates
  ${CMAKE_CURRENT_SOURCE_DIR}/templates/cpu/*.in ${CMAKE_CURRENT_SOURCE_DIR}/templates/cuda/*.in
  ${CMAKE_CURRENT_SOURCE_DIR}/templates/math/*.in ${CMAKE_CURRENT_SOURCE_DIR}/templates/random/*.in)
set(ACTUNE_TEMPLATE_FILES ${ACTUNE_TEMPLATES})
list(TRANSFORM ACTUNE_TEMPLATE_FILES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/templates/)
set(ACTUNE_EMBEDDED ${CMAKE_CURRENT_BINARY_DIR}/embedded_templates.c)
add_custom_command(OUTPUT ${ACTUNE_EMBEDDED}
  COMMAND actune_embed ${ACTUNE_EMBEDDED} ${CMAKE_CURRENT_SOURCE_DIR}/templates codegen/embedded.h at_embedded at_embedded_templates
    at_embedded_template_count ${ACTUNE_TEMPLATES}
  DEPENDS actune_embed ${ACTUNE_TEMPLATE_FILES} VERBATIM)

# The database's schema, one file a version.
file(GLOB ACTUNE_SCHEMA_FILES CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}/db/schema ${CMAKE_CURRENT_SOURCE_DIR}/db/schema/*.sql)
set(ACTUNE_SCHEMA_PATHS ${ACTUNE_SCHEMA_FILES})
list(TRANSFORM ACTUNE_SCHEMA_PATHS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/db/schema/)
set(ACTUNE_SCHEMA ${CMAKE_CURRENT_BINARY_DIR}/embedded_schema.c)
add_custom_command(OUTPUT ${ACTUNE_SCHEMA}
  COMMAND actune_embed ${ACTUNE_SCHEMA} ${CMAKE_CURRENT_SOURCE_DIR}/db/schema db/schema.h at_schema_text at_schema_texts
    at_schema_text_count ${ACTUNE_SCHEMA_FILES}
  DEPENDS actune_embed ${ACTUNE_SCHEMA_PATHS} VERBATIM)

# What exported libraries are made of: these files as they are (export/README.md). The second list is for those with CUDA.
set(ACTUNE_EXPORT_SOURCES
  export/support/exported.c export/support/exported.h
  runtime/base/bucket.c runtime/base/bucket.h runtime/base/chunk.c runtime/base/chunk.h runtime/base/hash.h runtime/base/isa.c runtime/base/isa.h
  runtime/base/kernel_abi.h runtime/base/shape.c runtime/base/shape.h runtime/base/signature.c runtime/base/signature.h runtime/base/status.c runtime/base/status.def runtime/base/status.h
  runtime/base/table.h runtime/base/table_find.c runtime/base/table_layout.h
  runtime/include/actune/actune.h runtime/launch.c runtime/launch.h runtime/pool.c runtime/pool.h)
list(APPEND ACTUNE_EXPORT_SOURCES
  export/support/expand.c export/support/expand.h export/support/exported_cuda.c export/support/exported_cuda.h
  codegen/activation.h codegen/cuda_grid.c codegen/emit_cuda.h codegen/generate.h codegen/graph.h codegen/kernel.h codegen/ops.def codegen/spec.h
  codegen/template.h codegen/variant.h
  runtime/backend/cpu.h runtime/backend/cuda_device.c runtime/backend/cuda_device.h runtime/backend/cuda_driver.c runtime/backend/cuda_driver.h
  runtime/backend/cuda_launch.c runtime/backend/cuda_launch.h runtime/backend/cuda_load.c runtime/backend/cuda_module.h
  runtime/backend/cuda_symbols.def runtime/base/arena.h runtime/base/dtype.c runtime/base/dtype.def runtime/base/dtype.h runtime/base/strbuf.h
  runtime/launch_cuda.c runtime/launch_cuda.h)
set(ACTUNE_EXPORT_SOURCE_PATHS ${ACTUNE_EXPORT_SOURCES})
list(TRANSFORM ACTUNE_EXPORT_SOURCE_PATHS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
set(ACTUNE_EXPORT_EMBEDDED ${CMAKE_CURRENT_BINARY_DIR}/embedded_export.c ${CMAKE_CURRENT_BINARY_DIR}/embedded_licence.c)
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/embedded_export.c
  COMMAND actune_embed ${CMAKE_CURRENT_BINARY_DIR}/embedded_export.c ${CMAKE_CURRENT_SOURCE_DIR} export/embedded.h at_embedded at_export_sources
    at_export_source_count ${ACTUNE_EXPORT_SOURCES}
  DEPENDS actune_embed ${ACTUNE_EXPORT_SOURCE_PATHS} VERBATIM)
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/embedded_licence.c
  COMMAND actune_embed ${CMAKE_CURRENT_BINARY_DIR}/embedded_licence.c ${CMAKE_CURRENT_SOURCE_DIR} export/embedded.h at_embedded at_export_texts
    at_export_text_count LICENSE
  DEPENDS actune_embed ${CMAKE_CURRENT_SOURCE_DIR}/LICENSE VERBATIM)
