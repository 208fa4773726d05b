/* docs/accuracy-measured.tsv as text inside the program (written at build time by tools/embed.c). */
#ifndef AT_CLI_ACCURACY_H
#define AT_CLI_ACCURACY_H

#include "codegen/embedded.h"

/* One text: activation, direction, type, class, error, share of the bound; a line each, tabs between. */
extern const at_embedded cli_accuracy_texts[];
extern const int cli_accuracy_text_count;

#endif
