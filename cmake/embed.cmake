# Build-time tools: `embed` turns text files into a C table; `make_builtins` turns templates/activations into graphs.
add_executable(actune_embed tools/embed.c)
target_link_libraries(actune_embed PRIVATE actune_options)

file(GLOB_RECURSE ACTUNE_TEMPLATES CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}/templates
  ${CMAKE_CURRENT_SOURCE_DIR}/templates/cpu/*.in ${CMAKE_CURRENT_SOURCE_DIR}/templates/cuda/*.in
  ${CMAKE_CURRENT_SOURCE_DIR}/templates/math/*.in)
set(ACTUNE_TEMPLATE_FILES ${ACTUNE_TEMPLATES})
list(TRANSFORM ACTUNE_TEMPLATE_FILES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/templates/)
set(ACTUNE_EMBEDDED ${CMAKE_CURRENT_BINARY_DIR}/embedded_templates.c)
add_custom_command(OUTPUT ${ACTUNE_EMBEDDED}
  COMMAND actune_embed ${ACTUNE_EMBEDDED} ${CMAKE_CURRENT_SOURCE_DIR}/templates ${ACTUNE_TEMPLATES}
  DEPENDS actune_embed ${ACTUNE_TEMPLATE_FILES} VERBATIM)
