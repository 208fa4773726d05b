/* The text of a spec under the parser's finger: blanks, names, values, and errors with a caret under the column. */
#ifndef AT_CODEGEN_SPEC_SCAN_H
#define AT_CODEGEN_SPEC_SCAN_H

#include "../runtime/base/status.h"

typedef struct at_scan {
    const char *text;
    size_t length, at;
    const actune_source *sources; /* what `@name:function` finds before it looks for a file */
    int source_count;
} at_scan;

/* A piece of the text. */
typedef struct at_slice {
    const char *text;
    size_t length;
} at_slice;

/* Records "spec:LINE:COLUMN: message", the line and a caret under text[at]; returns `code`. */
actune_status at_scan_fail(const at_scan *scan, size_t at, actune_status code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* From 1, in its line. */
int at_scan_column(const at_scan *scan, size_t at);

/* The next character that is no blank, 0 at the end; stands on it. */
char at_scan_peek(at_scan *scan);
/* Takes the next character if it is `c`. */
bool at_scan_take(at_scan *scan, char c);
/* Letters, digits, underscores, not beginning with a digit; length 0 when there is no name here. */
at_slice at_scan_name(at_scan *scan);
/* A number or a word, as it is written; length 0 when there is none here. */
at_slice at_scan_value(at_scan *scan);
/* All up to a blank or one of `stops`. */
at_slice at_scan_until(at_scan *scan, const char *stops);

/* The slice in lower case in `out`; false when it does not fit. */
bool at_slice_lower(at_slice slice, char *out, size_t bytes);
bool at_slice_is(at_slice slice, const char *word);     /* exactly */
bool at_slice_is_any(at_slice slice, const char *word); /* upper or lower case */

/* For "%.*s" of names in messages: long ones are cut. */
#define AT_SLICE_SHOWN(slice) ((int)((slice).length < 40 ? (slice).length : 40)), (slice).text

#endif
