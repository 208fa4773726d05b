/* A C text made safe to hand to libclang: cut into tokens, macros expanded, directives obeyed or refused, everything
   bounded. libclang never sees a '#', so it can open no file, and every one of its offsets leads back to the user's own
   line. */
#ifndef AT_CODEGEN_CLANG_SOURCE_H
#define AT_CODEGEN_CLANG_SOURCE_H

#include "../runtime/base/arena.h"
#include "../runtime/base/status.h"
#include "../runtime/base/strbuf.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    AT_SOURCE_BYTES_MAX = 64 * 1024,
    AT_SOURCE_TOKENS_MAX = 64 * 1024, /* after macro expansion */
    AT_SOURCE_STATEMENT_MAX = 1000,   /* tokens up to the next ; { or }: bounds the depth of any parser */
    AT_SOURCE_NESTING_MAX = 100,      /* brackets */
    AT_SOURCE_ELSE_MAX = 100,         /* in one function: else-if chains nest */
    AT_SOURCE_MACROS_MAX = 256,
    AT_SOURCE_MACRO_PARAMETERS_MAX = 16
};

typedef enum at_token_kind { AT_TOKEN_NAME, AT_TOKEN_NUMBER, AT_TOKEN_TEXT, AT_TOKEN_MARK, AT_TOKEN_END } at_token_kind;

typedef struct at_token {
    const char *text; /* not NUL-terminated */
    uint32_t length;
    uint32_t offset; /* of its first character in the user's text; of the macro's use for what a macro brought in */
    uint32_t place;  /* of its first character in the text for libclang */
    at_token_kind kind;
    bool starts_line, after_space, painted; /* painted: the name of a macro inside its own expansion */
} at_token;

/* A line of a comment that says something to us: "actune: ..." or "formula: ...". */
typedef struct at_remark {
    const char *text; /* from that word on, NUL-terminated */
    uint32_t offset;
} at_remark;

typedef struct at_source {
    const char *path, *text;
    at_arena arena; /* owns what the tokens and remarks point to */
    at_token *tokens;
    int count, capacity;
    at_remark *remarks;
    int remark_count, remark_capacity;
    at_strbuf clean;        /* for libclang: prelude, then the tokens */
    uint32_t prelude_bytes; /* where the user's tokens begin in it */
} at_source;

/* Reads `text`, which must outlive `source`. SYNTAX or UNSUPPORTED with path:line:column. Clear with at_source_clear in
   any case. */
actune_status at_source_read(const char *path, const char *text, at_source *source);
void at_source_clear(at_source *source);

/* Fails with "path:line:column: message" for an offset of the user's text. */
actune_status at_source_fail(const at_source *source, actune_status code, uint32_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The token at or before this place of the text for libclang; -1 inside the prelude. */
int at_source_token_at(const at_source *source, uint32_t place);
bool at_token_is(const at_token *token, const char *text);

/* clang_lex.c: the tokens and remarks of `text` appended, no directive obeyed. */
actune_status at_source_lex(at_source *source, const char *text);
/* clang_directive.c: obeys the directives in `source->tokens` and expands the macros, in place. */
actune_status at_source_preprocess(at_source *source);
/* Appends to source->tokens. */
actune_status at_source_push(at_source *source, at_token token);

#endif
