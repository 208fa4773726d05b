add_library(actune_options INTERFACE)
target_compile_options(actune_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
  -ffp-contract=off $<$<BOOL:${ACTUNE_WERROR}>:-Werror>)
target_compile_definitions(actune_options INTERFACE _GNU_SOURCE)
