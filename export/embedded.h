/* What is compiled into every exported library, as text inside the program (written by tools/embed.c): paths below the source folder. */
#ifndef AT_EXPORT_EMBEDDED_H
#define AT_EXPORT_EMBEDDED_H

#include "../codegen/embedded.h"

extern const at_embedded at_export_sources[]; /* sorted by name */
extern const int at_export_source_count;
extern const at_embedded at_export_texts[]; /* LICENSE */
extern const int at_export_text_count;

#endif
