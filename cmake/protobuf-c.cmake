# actune::protobuf_c, where protobuf-c's library is found. Used by the build and, installed, by those who link actune::monitor.
find_library(ACTUNE_PROTOBUF_C_LIBRARY protobuf-c)
mark_as_advanced(ACTUNE_PROTOBUF_C_LIBRARY)
if(ACTUNE_PROTOBUF_C_LIBRARY AND NOT TARGET actune::protobuf_c)
  add_library(actune::protobuf_c UNKNOWN IMPORTED)
  set_target_properties(actune::protobuf_c PROPERTIES IMPORTED_LOCATION "${ACTUNE_PROTOBUF_C_LIBRARY}")
endif()
