#include "arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct at_arena_block {
    struct at_arena_block *next;
    size_t used, capacity;
    _Alignas(16) unsigned char bytes[];
} block;

enum { BLOCK_BYTES = 8192, ALIGNMENT = 16 };

void at_arena_clear(at_arena *arena)
{
    for (block *b = arena->head; b;) {
        block *next = b->next;
        free(b);
        b = next;
    }
    arena->head = NULL;
}

void *at_arena_alloc(at_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = bytes ? (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    block *head = arena->head;
    if (!head || head->capacity - head->used < bytes) {
        size_t capacity = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        head = calloc(1, sizeof(block) + capacity);
        if (!head)
            return NULL;
        head->capacity = capacity;
        head->next = arena->head;
        arena->head = head;
    }
    void *result = head->bytes + head->used;
    head->used += bytes;
    return result;
}

void *at_arena_array(at_arena *arena, size_t count, size_t bytes)
{
    size_t total;
    return __builtin_mul_overflow(count, bytes, &total) ? NULL : at_arena_alloc(arena, total);
}

char *at_arena_strndup(at_arena *arena, const char *text, size_t length)
{
    char *copy = at_arena_alloc(arena, length + 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

char *at_arena_strdup(at_arena *arena, const char *text)
{
    return at_arena_strndup(arena, text, strlen(text));
}

char *at_arena_printf(at_arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : at_arena_alloc(arena, (size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
