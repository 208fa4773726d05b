/* Arena: memory freed all at once. All of the library's small, short-lived objects come from one. */
#ifndef AT_BASE_ARENA_H
#define AT_BASE_ARENA_H

#include <stddef.h>

typedef struct at_arena {
    struct at_arena_block *head;
} at_arena;

/* `{0}` is an empty arena. Not thread-safe. */
void at_arena_clear(at_arena *arena);

/* Zeroed memory aligned for any type, NULL when memory is out. `bytes` 0 gives a valid unique pointer. */
void *at_arena_alloc(at_arena *arena, size_t bytes);
/* `count` x `bytes`, checked for overflow. */
void *at_arena_array(at_arena *arena, size_t count, size_t bytes);
char *at_arena_strdup(at_arena *arena, const char *text);
char *at_arena_strndup(at_arena *arena, const char *text, size_t length);
char *at_arena_printf(at_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
