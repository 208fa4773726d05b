/* Finds and writes the fragments that a text refers to. */
#include "fragment.h"

#include "../runtime/base/hash.h"
#include "embedded.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS = 2048, FRAGMENTS_MAX = SLOTS / 2, DEPTH_MAX = 64 };

/* A fragment that could be written: `$fragment NAME [for VARIABLE in word ...] [if EXPRESSION]` ... `$end`. */
typedef struct fragment {
    const char *name;
    at_template_text body;
    const char *variable, *word; /* NULL: without `for` */
} fragment;

typedef struct at_fragment_done {
    struct at_fragment_done *next;
    const char *name;
    uint64_t hash; /* of the expanded text; 0 while it is being written */
} done;

typedef struct fragment_index {
    at_arena arena;
    fragment fragment[FRAGMENTS_MAX];
    int count;
    int16_t slot[SLOTS]; /* 1 + place in fragment; 0 empty */
    at_scope *scope;
    /* The $fragment line being read. */
    at_template_line head;
    int depth;
} fragment_index;

typedef struct writer {
    at_fragments *fragments;
    fragment_index *index;
    int depth;
} writer;

void at_fragments_clear(at_fragments *fragments)
{
    at_strbuf_clear(&fragments->types);
    at_strbuf_clear(&fragments->text);
    at_arena_clear(&fragments->arena);
    *fragments = (at_fragments){0};
}

static int16_t *find_slot(fragment_index *index, const char *name, size_t length)
{
    size_t at = at_hash64(name, length) % SLOTS;
    for (;; at = (at + 1) % SLOTS) {
        int16_t *slot = &index->slot[at];
        if (!*slot)
            return slot;
        const char *have = index->fragment[*slot - 1].name;
        if (!strncmp(have, name, length) && !have[length])
            return slot;
    }
}

/* The first definition of a name stands: an instruction set's own goes before the general one. */
static actune_status add_fragment(fragment_index *index, const at_template_line *line, const char *pattern,
                                  size_t length, at_template_text body, const char *variable, const char *word)
{
    at_template_text text = {line->in->name, pattern, length, line->line};
    at_strbuf name = {0};
    if (variable)
        at_scope_knob(index->scope, variable, word);
    actune_status status = at_template_expand(&text, index->scope, false, &name);
    if (variable)
        index->scope->count--;
    if (status == ACTUNE_OK) {
        size_t bytes = name.length - 1; /* without the newline */
        int16_t *slot = find_slot(index, name.text, bytes);
        if (!*slot && index->count < FRAGMENTS_MAX) {
            index->fragment[index->count++] =
                (fragment){at_arena_strndup(&index->arena, name.text, bytes), body, variable, word};
            *slot = (int16_t)index->count;
        } else if (!*slot)
            status =
                at_fail(ACTUNE_INTERNAL, "%s:%d: more than %d fragments", line->in->name, line->line, FRAGMENTS_MAX);
    }
    at_strbuf_clear(&name);
    return status;
}

static const char *find_word(const char *at, const char *end, const char *word)
{
    const char *found = memmem(at, (size_t)(end - at), word, strlen(word));
    return found ? found : end;
}

static bool condition_holds(fragment_index *index, const char *at, const char *end, actune_status *status)
{
    if (at == end)
        return true;
    at_value value;
    *status = at_expression_eval(at + 4, (size_t)(end - at - 4), index->scope, &value);
    return *status == ACTUNE_OK && at_value_true(&value);
}

/* One fragment, or with `for` one for each word. */
static actune_status close_fragment(fragment_index *index, const at_template_line *line)
{
    const at_template_line *head = &index->head;
    const char *at = head->rest, *end = head->rest + head->length;
    const char *condition = find_word(at, end, " if "), *each = find_word(at, condition, " for ");
    at_template_text body = {line->in->name, head->next, (size_t)(line->word - 1 - head->next), head->line + 1};
    actune_status status = ACTUNE_OK;
    if (!condition_holds(index, condition, end, &status))
        return status ? at_fail_in(status, "%s:%d", line->in->name, head->line) : ACTUNE_OK;
    if (each == condition)
        return add_fragment(index, head, at, (size_t)(condition - at), body, NULL, NULL);
    char *words = at_arena_strndup(&index->arena, each + 5, (size_t)(condition - each - 5)), *rest = NULL;
    const char *variable = words ? strtok_r(words, " ", &rest) : NULL;
    const char *in = variable ? strtok_r(NULL, " ", &rest) : NULL;
    if (!in || strcmp(in, "in"))
        return at_fail(ACTUNE_SYNTAX, "%s:%d: expected '$fragment NAME for VARIABLE in WORD ...'", line->in->name,
                       head->line);
    for (char *word; (word = strtok_r(NULL, " ", &rest));)
        AT_TRY(add_fragment(index, head, at, (size_t)(each - at), body, variable, word));
    return ACTUNE_OK;
}

static actune_status read_line(void *user, const at_template_line *line)
{
    fragment_index *index = user;
    if (at_template_is(line, "fragment")) {
        if (index->depth)
            return at_fail(ACTUNE_SYNTAX, "%s:%d: $fragment inside a $fragment", line->in->name, line->line);
        index->head = *line;
        index->depth = 1;
    } else if (at_template_is(line, "if") || at_template_is(line, "for"))
        index->depth += index->depth > 0;
    else if (at_template_is(line, "end") && index->depth > 0 && --index->depth == 0)
        return close_fragment(index, line);
    return ACTUNE_OK;
}

static actune_status read_file(fragment_index *index, const char *name)
{
    at_template_text text;
    AT_TRY(at_template_get(name, &text));
    index->depth = 0;
    AT_TRY(at_template_each_line(&text, read_line, index));
    return index->depth ? at_fail(ACTUNE_SYNTAX, "%s:%d: no $end for this line", text.name, index->head.line)
                        : ACTUNE_OK;
}

/* The instruction set's own file, those it builds on, then the general ones. */
static actune_status build_index(fragment_index *index)
{
    at_value isa;
    AT_TRY(at_expression_eval("isa", 3, index->scope, &isa));
    char name[64];
    snprintf(name, sizeof name, "cpu/isa/%.*s", (int)isa.length, isa.text);
    AT_TRY(read_file(index, name));
    if (!strcmp(name, "cpu/isa/x86-64-v4"))
        AT_TRY(read_file(index, "cpu/isa/x86-64-v3"));
    if (strcmp(name, "cpu/isa/generic"))
        AT_TRY(read_file(index, "cpu/isa/generic"));
    for (int i = 0; i < at_embedded_template_count; i++)
        if (!strncmp(at_embedded_templates[i].name, "math/", 5))
            AT_TRY(read_file(index, at_embedded_templates[i].name));
    return ACTUNE_OK;
}

/* The next identifier outside comments, strings and preprocessor lines; NULL at the end. */
static const char *next_identifier(const char **at, size_t *length)
{
    const char *p = *at;
    while (*p) {
        if (p[0] == '/' && p[1] == '*') {
            const char *end = strstr(p + 2, "*/");
            p = end ? end + 2 : p + strlen(p);
        } else if (*p == '"') {
            for (p++; *p && *p != '"'; p++)
                p += *p == '\\' && p[1];
            p += *p == '"';
        } else if (*p == '#') {
            p += strcspn(p, "\n");
        } else if (isalpha((unsigned char)*p) || *p == '_') {
            const char *start = p;
            while (isalnum((unsigned char)*p) || *p == '_')
                p++;
            *length = (size_t)(p - start);
            *at = p;
            return start;
        } else if (isdigit((unsigned char)*p)) {
            while (isalnum((unsigned char)*p) || *p == '.')
                p++;
        } else
            p++;
    }
    *at = p;
    return NULL;
}

static actune_status write_used(writer *w, const char *text);

static done *find_done(const at_fragments *fragments, const char *name)
{
    for (done *d = fragments->done; d; d = d->next)
        if (!strcmp(d->name, name))
            return d;
    return NULL;
}

/* Types stand before all functions, which have an empty line between them. */
static void append(at_fragments *fragments, const at_strbuf *text)
{
    bool is_type = !strncmp(at_strbuf_text(text), "typedef", 7);
    at_strbuf *out = is_type ? &fragments->types : &fragments->text;
    if (!is_type)
        at_strbuf_char(out, '\n');
    at_strbuf_append(out, at_strbuf_text(text));
}

static actune_status write_fragment(writer *w, const fragment *f)
{
    at_scope *scope = w->index->scope;
    at_strbuf text = {0};
    if (f->variable)
        at_scope_knob(scope, f->variable, f->word);
    actune_status status = at_template_expand(&f->body, scope, false, &text);
    if (f->variable)
        scope->count--;
    uint64_t hash = at_hash64(at_strbuf_text(&text), text.length) | 1;
    done *before = find_done(w->fragments, f->name);
    if (status == ACTUNE_OK && before) {
        if (before->hash && before->hash != hash)
            status = at_fail(ACTUNE_INTERNAL, "%s:%d: fragment '%s' depends on a knob that is not part of its name",
                             f->body.name, f->body.first_line, f->name);
    } else if (status == ACTUNE_OK) {
        done *d = at_arena_alloc(&w->fragments->arena, sizeof *d);
        char *name = at_arena_strdup(&w->fragments->arena, f->name);
        if (!d || !name) {
            status = at_fail(ACTUNE_NO_MEMORY, "out of memory while writing source");
        } else {
            *d = (done){.next = w->fragments->done, .name = name};
            w->fragments->done = d;
            status = ++w->depth > DEPTH_MAX
                         ? at_fail(ACTUNE_INTERNAL, "fragments call each other too deeply at '%s'", f->name)
                         : write_used(w, at_strbuf_text(&text));
            w->depth--;
            d->hash = hash;
            append(w->fragments, &text);
        }
    }
    at_strbuf_clear(&text);
    return status;
}

static actune_status write_used(writer *w, const char *text)
{
    size_t length;
    for (const char *name; (name = next_identifier(&text, &length));) {
        int16_t slot = *find_slot(w->index, name, length);
        if (!slot)
            continue;
        fragment *f = &w->index->fragment[slot - 1];
        if (!f->body.text)
            continue;
        /* Taken out while it is used here: once is enough. */
        fragment now = *f;
        f->body.text = NULL;
        AT_TRY(write_fragment(w, &now));
    }
    return ACTUNE_OK;
}

actune_status at_fragments_add(at_fragments *fragments, at_scope *scope, const char *text)
{
    at_arena arena = {0};
    fragment_index *index = at_arena_alloc(&arena, sizeof *index);
    if (!index)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while writing source");
    index->scope = scope;
    actune_status status = build_index(index);
    writer w = {.fragments = fragments, .index = index};
    if (status == ACTUNE_OK)
        status = write_used(&w, text);
    at_arena_clear(&index->arena);
    at_arena_clear(&arena);
    AT_TRY(status);
    AT_TRY(at_strbuf_status(&fragments->types));
    return at_strbuf_status(&fragments->text);
}
