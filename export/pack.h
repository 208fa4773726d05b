/* The other half of support/expand.h. */
#ifndef AT_EXPORT_PACK_H
#define AT_EXPORT_PACK_H

#include "../runtime/base/strbuf.h"

/* Appends the packed bytes. Deterministic. */
void at_export_pack(const void *bytes, size_t size, at_strbuf *out);

#endif
