/* The part of libclang's C interface that the front end uses, declared here so that building needs no clang headers.
   Structures and numbers are libclang's stable ABI (the same from 14 to 19 on). */
#ifndef AT_CODEGEN_CLANG_API_H
#define AT_CODEGEN_CLANG_API_H

#include "../runtime/base/status.h"
#include <stdbool.h>

typedef struct at_cx_cursor {
    int kind, xdata;
    const void *data[3];
} at_cx_cursor;

typedef struct at_cx_type {
    int kind;
    void *data[2];
} at_cx_type;

typedef struct at_cx_string {
    const void *data;
    unsigned flags;
} at_cx_string;

typedef struct at_cx_location {
    const void *data[2];
    unsigned offset;
} at_cx_location;

typedef struct at_cx_range {
    const void *data[2];
    unsigned begin, end;
} at_cx_range;

typedef struct at_cx_unsaved {
    const char *name, *text;
    unsigned long length;
} at_cx_unsaved;

typedef void *at_cx_index, *at_cx_unit, *at_cx_diagnostic, *at_cx_file;
typedef int (*at_cx_visitor)(at_cx_cursor cursor, at_cx_cursor parent, void *user);

enum { AT_CX_VISIT_CONTINUE = 1 };

enum at_cx_cursor_kind {
    AT_CX_FUNCTION = 8,
    AT_CX_VARIABLE = 9,
    AT_CX_PARAMETER = 10,
    AT_CX_TYPEDEF = 20,
    AT_CX_UNEXPOSED_EXPR = 100,
    AT_CX_DECL_REF = 101,
    AT_CX_MEMBER_REF = 102,
    AT_CX_CALL = 103,
    AT_CX_BLOCK_EXPR = 105,
    AT_CX_INTEGER = 106,
    AT_CX_FLOATING = 107,
    AT_CX_IMAGINARY = 108,
    AT_CX_STRING = 109,
    AT_CX_CHARACTER = 110,
    AT_CX_PAREN = 111,
    AT_CX_UNARY = 112,
    AT_CX_SUBSCRIPT = 113,
    AT_CX_BINARY = 114,
    AT_CX_COMPOUND_ASSIGN = 115,
    AT_CX_CONDITIONAL = 116,
    AT_CX_CAST = 117,
    AT_CX_COMPOUND_LITERAL = 118,
    AT_CX_INIT_LIST = 119,
    AT_CX_ADDRESS_LABEL = 120,
    AT_CX_STATEMENT_EXPR = 121,
    AT_CX_GENERIC = 122,
    AT_CX_SIZEOF = 136,
    AT_CX_LABEL = 201,
    AT_CX_BLOCK = 202,
    AT_CX_CASE = 203,
    AT_CX_DEFAULT = 204,
    AT_CX_IF = 205,
    AT_CX_SWITCH = 206,
    AT_CX_WHILE = 207,
    AT_CX_DO = 208,
    AT_CX_FOR = 209,
    AT_CX_GOTO = 210,
    AT_CX_INDIRECT_GOTO = 211,
    AT_CX_CONTINUE = 212,
    AT_CX_BREAK = 213,
    AT_CX_RETURN = 214,
    AT_CX_ASM = 215,
    AT_CX_MS_ASM = 229,
    AT_CX_NULL = 230,
    AT_CX_DECLARATION = 231
};

enum at_cx_type_kind {
    AT_CX_VOID = 2,
    AT_CX_BOOL = 3,
    AT_CX_INT = 17,
    AT_CX_FLOAT = 21,
    AT_CX_DOUBLE = 22,
    AT_CX_POINTER = 101,
    AT_CX_FUNCTION_PROTO = 111,
    AT_CX_CONSTANT_ARRAY = 112,
    AT_CX_INCOMPLETE_ARRAY = 114,
    AT_CX_VARIABLE_ARRAY = 115
};

enum { AT_CX_STORAGE_EXTERN = 2, AT_CX_STORAGE_STATIC = 3, AT_CX_DIAGNOSTIC_ERROR = 3 };

/* X(result, name without "clang_", parameters) */
#define AT_CX_FUNCTIONS(X)                                                                                             \
    X(at_cx_index, createIndex, (int exclude_pch, int display_diagnostics))                                            \
    X(void, disposeIndex, (at_cx_index))                                                                               \
    X(void, toggleCrashRecovery, (unsigned on))                                                                        \
    X(int, parseTranslationUnit2,                                                                                      \
      (at_cx_index, const char *name, const char *const *arguments, int argument_count, at_cx_unsaved *files,          \
       unsigned file_count, unsigned options, at_cx_unit *unit))                                                       \
    X(void, disposeTranslationUnit, (at_cx_unit))                                                                      \
    X(unsigned, getNumDiagnostics, (at_cx_unit))                                                                       \
    X(at_cx_diagnostic, getDiagnostic, (at_cx_unit, unsigned index))                                                   \
    X(void, disposeDiagnostic, (at_cx_diagnostic))                                                                     \
    X(int, getDiagnosticSeverity, (at_cx_diagnostic))                                                                  \
    X(at_cx_location, getDiagnosticLocation, (at_cx_diagnostic))                                                       \
    X(at_cx_string, getDiagnosticSpelling, (at_cx_diagnostic))                                                         \
    X(at_cx_cursor, getTranslationUnitCursor, (at_cx_unit))                                                            \
    X(unsigned, visitChildren, (at_cx_cursor, at_cx_visitor, void *user))                                              \
    X(unsigned, equalCursors, (at_cx_cursor, at_cx_cursor))                                                            \
    X(int, getCursorKind, (at_cx_cursor))                                                                              \
    X(at_cx_string, getCursorKindSpelling, (int kind))                                                                 \
    X(at_cx_string, getCursorSpelling, (at_cx_cursor))                                                                 \
    X(at_cx_type, getCursorType, (at_cx_cursor))                                                                       \
    X(at_cx_type, getCanonicalType, (at_cx_type))                                                                      \
    X(at_cx_type, getResultType, (at_cx_type))                                                                         \
    X(at_cx_type, getCursorResultType, (at_cx_cursor))                                                                 \
    X(at_cx_string, getTypeSpelling, (at_cx_type))                                                                     \
    X(unsigned, isConstQualifiedType, (at_cx_type))                                                                    \
    X(unsigned, isVolatileQualifiedType, (at_cx_type))                                                                 \
    X(unsigned, isFunctionTypeVariadic, (at_cx_type))                                                                  \
    X(unsigned, isCursorDefinition, (at_cx_cursor))                                                                    \
    X(at_cx_cursor, getCursorDefinition, (at_cx_cursor))                                                               \
    X(at_cx_cursor, getCursorReferenced, (at_cx_cursor))                                                               \
    X(int, Cursor_isNull, (at_cx_cursor))                                                                              \
    X(int, Cursor_getStorageClass, (at_cx_cursor))                                                                     \
    X(int, Cursor_getNumArguments, (at_cx_cursor))                                                                     \
    X(at_cx_cursor, Cursor_getArgument, (at_cx_cursor, unsigned index))                                                \
    X(at_cx_cursor, Cursor_getVarDeclInitializer, (at_cx_cursor))                                                      \
    X(at_cx_location, getCursorLocation, (at_cx_cursor))                                                               \
    X(at_cx_range, getCursorExtent, (at_cx_cursor))                                                                    \
    X(at_cx_location, getRangeStart, (at_cx_range))                                                                    \
    X(at_cx_location, getRangeEnd, (at_cx_range))                                                                      \
    X(void, getExpansionLocation,                                                                                      \
      (at_cx_location, at_cx_file * file, unsigned *line, unsigned *column, unsigned *offset))                         \
    X(const char *, getCString, (at_cx_string))                                                                        \
    X(void, disposeString, (at_cx_string))                                                                             \
    X(at_cx_string, getClangVersion, (void))

typedef struct at_clang_api {
#define AT_CX_MEMBER(result, name, parameters) result(*name) parameters;
    AT_CX_FUNCTIONS(AT_CX_MEMBER)
#undef AT_CX_MEMBER
    char version[64]; /* "14.0.6" */
} at_clang_api;

/* The functions of the libclang found first: ACTUNE_LIBCLANG alone where that is set, else the names and folders that
   distributions use. Loaded once and kept; thread-safe. NO_COMPILER says what was tried and what to install. */
actune_status at_clang_load(const at_clang_api **api);

#endif
