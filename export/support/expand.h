/* Packed code of GPUs: runs of bytes that stood before are named by their distance. Cubins shrink to a fifth.

   A token byte: in its high four bits the number of bytes that follow as they are, in its low four bits the length of the repetition behind them less 4.
   15 means that bytes to be added follow, up to one that is not 255: those of the plain bytes before them, those of the repetition behind its distance
   (two bytes, little-endian, at least 1). The last token has no repetition. */
#ifndef AT_EXPORTED_EXPAND_H
#define AT_EXPORTED_EXPAND_H

#include <stdbool.h>
#include <stddef.h>

enum { AT_PACK_REPEAT_MIN = 4, AT_PACK_DISTANCE_MAX = 65535, AT_PACK_NIBBLE = 15 };

/* False when `from` is not what becomes exactly `size` bytes; never leaves either array. */
bool at_exported_expand(const unsigned char *from, size_t from_size, unsigned char *to, size_t size);

#endif
