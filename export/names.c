/* Names of functions and their parameters. */
#include "job.h"

#include <ctype.h>
#include <string.h>

/* Of C11 and C++20, together: the header is for both. */
static const char *const keywords[] = {
    "alignas", "alignof", "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch", "char", "char16_t", "char32_t",
    "char8_t", "class", "co_await", "co_return", "co_yield", "compl", "concept", "const", "const_cast", "consteval", "constexpr", "constinit",
    "continue", "decltype", "default", "delete", "do", "double", "dynamic_cast", "else", "enum", "explicit", "export", "extern", "false",
    "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable", "namespace", "new", "noexcept", "not", "not_eq", "nullptr",
    "operator", "or", "or_eq", "private", "protected", "public", "register", "reinterpret_cast", "requires", "restrict", "return", "short",
    "signed", "sizeof", "static", "static_assert", "static_cast", "struct", "switch", "template", "this", "thread_local", "throw", "true",
    "try", "typedef", "typeid", "typename", "typeof", "union", "unsigned", "using", "virtual", "void", "volatile", "wchar_t", "while", "xor",
    "xor_eq"};

/* Of the functions' own parameters and locals. */
static const char *const taken[] = {"channels", "device", "inner", "n", "outer", "port", "shape", "stream", "workspace"};

static bool is_among(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, list[i]) == 0)
            return true;
    return false;
}

static bool is_keyword(const char *text)
{
    return is_among(text, keywords, sizeof keywords / sizeof *keywords);
}

bool at_export_is_identifier(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return length > 0 && length <= 64 && text[length] == '\0' && !isdigit((unsigned char)text[0]) && text[0] != '_' && !is_keyword(text);
}

const char *at_export_parameter(const char *port, at_arena *arena)
{
    bool free_name = !is_keyword(port) && !is_among(port, taken, sizeof taken / sizeof *taken);
    return at_arena_printf(arena, free_name ? "%s" : "%s_", port);
}

/* Behind "@": the length of the folder, "../models/" of "@../models/act.c:f". */
static size_t folder_length(const char *path)
{
    size_t folder = 0;
    for (size_t i = 0; path[i] != '\0' && path[i] != ':' && path[i] != ' '; i++)
        if (path[i] == '/')
            folder = i + 1;
    return folder;
}

char *at_export_shown_spec(const char *canonical, at_arena *arena)
{
    char *shown = at_arena_strdup(arena, canonical), *to = shown;
    for (const char *from = canonical; shown != NULL && (*to = *from) != '\0'; from++, to++)
        if (*from == '@')
            from += folder_length(from + 1);
    return shown;
}

/* Appends what becomes of one character: letters and digits stay, a minus before a digit and the point of a number are spelt. */
static void append(at_strbuf *out, const char *at)
{
    bool digit_next = isdigit((unsigned char)at[1]) != 0;
    if (isalnum((unsigned char)*at))
        at_strbuf_char(out, (char)tolower((unsigned char)*at));
    else if (*at == '-' && (digit_next || at[1] == 'i'))
        at_strbuf_char(out, 'm');
    else if (*at == '.' && digit_next)
        at_strbuf_char(out, 'p');
    else if (out->length > 0 && out->text[out->length - 1] != '_')
        at_strbuf_char(out, '_');
}

/* Attributes that make another kernel are told behind the pipeline. */
static void append_attributes(at_strbuf *out, const at_spec *spec)
{
    if (spec->accuracy != AT_ACCURACY_STANDARD)
        at_strbuf_printf(out, "_%s", at_accuracy_name(spec->accuracy));
    if (spec->semantics == AT_SEMANTICS_CUDNN)
        at_strbuf_append(out, "_cudnn");
    if (spec->from_output)
        at_strbuf_append(out, "_from_output");
}

char *at_export_slug(const at_spec *spec, at_arena *arena)
{
    const char *at = spec->canonical;
    at_strbuf out = {0};
    if (*at == '[')
        at += strcspn(at, "]") + 1;
    for (; *at != '\0'; at++) {
        if (*at == '@')
            at += strcspn(at, ":");
        append(&out, at);
    }
    while (out.length > 0 && out.text[out.length - 1] == '_')
        out.text[--out.length] = '\0';
    append_attributes(&out, spec);
    char *slug = at_strbuf_status(&out) == ACTUNE_OK ? at_arena_strdup(arena, at_strbuf_text(&out)) : NULL;
    at_strbuf_clear(&out);
    return slug;
}
