#include "quantize.h"
#include "spec_parse.h"

#include <math.h>
#include <string.h>

/* What the scan may meet: printable ASCII and blanks. */
static actune_status check_text(const at_scan *scan)
{
    for (size_t i = 0; i < scan->length; i++) {
        unsigned char c = (unsigned char)scan->text[i];
        if (c > '~')
            return at_scan_fail(scan, i, ACTUNE_SYNTAX, "byte 0x%02x is no ASCII character", c);
        if (c < ' ' && !strchr("\t\n\r", c))
            return at_scan_fail(scan, i, ACTUNE_SYNTAX, "control character 0x%02x", c);
    }
    return ACTUNE_OK;
}

static actune_status fail_unknown(const at_scan *scan, size_t at, at_slice written, const char *name)
{
    at_strbuf suggestion = {0};
    at_stage_suggest(name, &suggestion);
    at_scan_fail(scan, at, ACTUNE_SYNTAX, "unknown stage '%.*s'%s", AT_SLICE_SHOWN(written),
                 at_strbuf_text(&suggestion));
    at_strbuf_clear(&suggestion);
    return ACTUNE_SYNTAX;
}

/* A stage of our own: one of the forms, or a built-in activation. */
static actune_status parse_named(at_scan *scan, at_stage *stage)
{
    char name[64] = "";
    size_t at = scan->at;
    at_slice written = at_scan_name(scan);
    bool fits = at_slice_lower(written, name, sizeof name);
    if (!written.length)
        return at_scan_fail(scan, at, ACTUNE_SYNTAX, "expected a stage here, not '%c'", scan->text[at]);
    const at_stage_form *form = at_stage_form_find(name);
    stage->kind = form ? form->kind : AT_STAGE_ACTIVATION;
    stage->activation = form || !fits ? NULL : at_activation_find(name);
    if (form || stage->activation)
        return at_spec_parse_arguments(scan, at, form ? form->name : stage->activation->name, form, stage);
    if (at_stage_is_planned(name))
        return at_scan_fail(scan, at, ACTUNE_UNSUPPORTED, "the stage '%s' is not supported yet in this version", name);
    return fail_unknown(scan, at, written, name);
}

static actune_status parse_stage(at_scan *scan, at_arena *arena, at_stage *stage)
{
    char first = at_scan_peek(scan);
    size_t at = scan->at;
    stage->at = at;
    stage->column = at_scan_column(scan, at);
    if (!first || first == '|')
        return at_scan_fail(scan, at, ACTUNE_SYNTAX, "a stage is missing here");
    if (first != '@')
        return parse_named(scan, stage);
    AT_TRY(at_spec_parse_user(scan, arena, stage));
    return at_spec_parse_arguments(scan, at, stage->function, NULL, stage);
}

static actune_status parse_next(at_scan *scan, at_spec *spec)
{
    bool taken;
    AT_TRY(at_spec_take_gated_unit(scan, spec, &taken));
    return taken ? ACTUNE_OK : parse_stage(scan, &spec->arena, &spec->stage[spec->stages++]);
}

static actune_status parse_stages(at_scan *scan, at_spec *spec)
{
    if (!at_scan_peek(scan))
        return at_scan_fail(scan, scan->at, ACTUNE_SYNTAX, "a spec has at least one stage, for example 'relu'");
    do {
        at_scan_peek(scan);
        if (spec->stages == AT_STAGES_MAX)
            return at_scan_fail(scan, scan->at, ACTUNE_SYNTAX, "a spec has at most %d stages", AT_STAGES_MAX);
        AT_TRY(parse_next(scan, spec));
    } while (at_scan_take(scan, '|'));
    char after = at_scan_peek(scan);
    if (after == '[')
        return at_scan_fail(scan, scan->at, ACTUNE_SYNTAX, "attributes in brackets stand in front of the first stage");
    if (after)
        return at_scan_fail(scan, scan->at, ACTUNE_SYNTAX, "expected '|' or the end here");
    return ACTUNE_OK;
}

/* A whole row is one of y's; what takes x apart, or has operands of each image, goes through it in another order. */
static actune_status check_row_neighbours(const at_scan *scan, const at_spec *spec, size_t at, const char *name)
{
    for (int i = 0; i < spec->stages; i++) {
        const at_stage *stage = &spec->stage[i];
        bool is_plane = (stage->kind == AT_STAGE_ADD || stage->kind == AT_STAGE_MUL) && stage->of_word;
        if (stage->kind == AT_STAGE_HALVES || is_plane)
            return at_scan_fail(scan, at, ACTUNE_UNSUPPORTED, "%s does not go together with %s%s in this version: make them two kernels", name,
                                at_stage_form_of(stage->kind)->name, is_plane ? "(channel)" : "");
    }
    return ACTUNE_OK;
}

/* What looks at whole rows stands once: what comes behind a second one would need the rows of the first. */
static actune_status check_rows(const at_scan *scan, const at_spec *spec)
{
    const char *first = NULL;
    for (int i = 0; i < spec->stages; i++) {
        const at_stage_form *form = at_stage_form_of(spec->stage[i].kind);
        if (!form || !form->is_row)
            continue;
        if (first)
            return at_scan_fail(scan, spec->stage[i].at, ACTUNE_UNSUPPORTED, "a pipeline has one operation on whole rows: behind %s no %s", first,
                                form->name);
        first = form->name;
        AT_TRY(check_row_neighbours(scan, spec, spec->stage[i].at, first));
    }
    return ACTUNE_OK;
}

static actune_status check_observers(const at_scan *scan, const at_spec *spec)
{
    bool seen = false;
    for (int i = 0; i < spec->stages; i++) {
        bool observes = spec->stage[i].kind == AT_STAGE_STATS;
        if (seen && observes)
            return at_scan_fail(scan, spec->stage[i].at, ACTUNE_SYNTAX, "a pipeline has one stage stats, and this is its second");
        seen |= observes;
    }
    return ACTUNE_OK;
}

/* Rows and observers see a tensor as one pass does; a pipeline with standardize has several. */
static actune_status check_passes(const at_scan *scan, const at_spec *spec)
{
    bool standardizes = false;
    for (int i = 0; i < spec->stages; i++)
        standardizes |= spec->stage[i].kind == AT_STAGE_STANDARDIZE;
    for (int i = 0; standardizes && i < spec->stages; i++) {
        const at_stage_form *form = at_stage_form_of(spec->stage[i].kind);
        if (form && (form->is_row || form->kind == AT_STAGE_STATS || form->kind == AT_STAGE_HALVES || spec->stage[i].of_word))
            return at_scan_fail(scan, spec->stage[i].at, ACTUNE_UNSUPPORTED,
                                "%s does not go with standardize in one pipeline yet: make it a pipeline of its own", form->name);
    }
    return ACTUNE_OK;
}

static actune_status parse(at_scan *scan, at_spec *spec)
{
    at_strbuf canonical = {0};
    AT_TRY(check_text(scan));
    AT_TRY(at_spec_parse_attributes(scan, spec));
    AT_TRY(parse_stages(scan, spec));
    AT_TRY(at_spec_check_halves(scan, spec));
    AT_TRY(check_rows(scan, spec));
    AT_TRY(check_observers(scan, spec));
    AT_TRY(check_passes(scan, spec));
    AT_TRY(at_quantize_check_places(scan, spec));
    AT_TRY(at_spec_check_output(scan, spec));
    at_spec_print(spec, &canonical);
    spec->canonical = canonical.failed ? NULL : at_arena_strdup(&spec->arena, at_strbuf_text(&canonical));
    at_strbuf_clear(&canonical);
    return spec->canonical ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "out of memory while parsing a spec");
}

static actune_status check_sources(const actune_source *sources, int count)
{
    if (count < 0 || (count > 0 && !sources))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%d sources, but no list of them", count);
    for (int i = 0; i < count; i++) {
        if (!sources[i].name || !*sources[i].name || !sources[i].text)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "source %d has no %s", i, sources[i].text ? "name" : "text");
        for (int k = 0; k < i; k++)
            if (!strcmp(sources[i].name, sources[k].name))
                return at_fail(ACTUNE_INVALID_ARGUMENT, "sources %d and %d are both named '%s'", k, i, sources[i].name);
    }
    return ACTUNE_OK;
}

actune_status at_spec_parse(const char *text, at_spec *spec)
{
    return at_spec_parse_with(text, NULL, 0, spec);
}

actune_status at_spec_parse_with(const char *text, const actune_source *sources, int source_count, at_spec *spec)
{
    *spec = (at_spec){.accuracy = AT_ACCURACY_STANDARD, .semantics = AT_SEMANTICS_TORCH};
    if (!text)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "no spec was given");
    AT_TRY(check_sources(sources, source_count));
    at_scan scan = {
        .text = text, .length = strnlen(text, AT_SPEC_LENGTH_MAX + 1), .sources = sources, .source_count = source_count};
    if (scan.length > AT_SPEC_LENGTH_MAX)
        return at_fail(ACTUNE_SYNTAX, "spec: longer than %d characters", AT_SPEC_LENGTH_MAX);
    actune_status status = parse(&scan, spec);
    if (status != ACTUNE_OK)
        at_spec_clear(spec);
    return status;
}

void at_spec_clear(at_spec *spec)
{
    /* A user's activation lies in the arena, but for its graph; built-ins are nobody's to free. */
    for (int i = 0; i < spec->stages; i++)
        if (spec->stage[i].file && spec->stage[i].activation)
            at_graph_clear(&((at_activation *)spec->stage[i].activation)->graph);
    at_arena_clear(&spec->arena);
    *spec = (at_spec){0};
}

static bool same_number(double a, double b)
{
    return a == b && signbit(a) == signbit(b);
}

/* "(alpha=0.3, beta=learn)", defaults left out, nothing when all are. */
static void print_activation_arguments(const at_stage *stage, at_strbuf *out)
{
    const char *separator = "(";
    for (int i = 0; i < stage->arguments; i++) {
        const at_argument *argument = &stage->argument[i];
        const at_parameter *parameter = &stage->activation->parameter[i];
        if (argument->learn == AT_LEARN_NO && parameter->has_default &&
            same_number(argument->value, parameter->default_value))
            continue;
        at_strbuf_printf(out, "%s%s=", separator, argument->name);
        if (argument->learn == AT_LEARN_NO)
            at_strbuf_double(out, argument->value);
        else
            at_strbuf_append(out, argument->learn == AT_LEARN_CHANNEL ? "channel" : "learn");
        separator = ", ";
    }
    if (*separator == ',')
        at_strbuf_char(out, ')');
}

/* By position; those that may be operands, and optional ones, by name; the form's word first. What has its default is left out. */
static void print_form_arguments(const at_stage *stage, const at_stage_form *form, at_strbuf *out)
{
    const char *separator = "(";
    if (stage->flag) {
        at_strbuf_printf(out, "(%s", form->flag);
        separator = ", ";
    }
    for (int i = 0; i < stage->arguments; i++) {
        const at_argument *argument = &stage->argument[i];
        bool by_name = form->parameter[i].operand || form->parameter[i].optional;
        if (form->parameter[i].optional && argument->learn == AT_LEARN_NO && argument->value == form->parameter[i].standard)
            continue;
        at_strbuf_printf(out, "%s%s%s", separator, by_name ? argument->name : "", by_name ? "=" : "");
        if (form->parameter[i].words)
            at_strbuf_append(out, form->parameter[i].words[(int)argument->value]);
        else if (argument->learn != AT_LEARN_NO)
            at_strbuf_append(out, argument->learn == AT_LEARN_CHANNEL ? "channel" : "tensor");
        else
            at_strbuf_double(out, argument->value);
        separator = ", ";
    }
    if (*separator == ',')
        at_strbuf_char(out, ')');
}

static void print_stage(const at_stage *stage, at_strbuf *out)
{
    const at_stage_form *form = at_stage_form_of(stage->kind);
    if (stage->file)
        at_strbuf_printf(out, "@%s:%s", stage->file, stage->function);
    else
        at_strbuf_append(out, form ? form->name : stage->activation->name);
    if (!form) {
        print_activation_arguments(stage, out);
        return;
    }
    if (stage->of_word)
        at_strbuf_printf(out, "(%s)", form->word);
    print_form_arguments(stage, form, out);
}

void at_spec_print(const at_spec *spec, at_strbuf *out)
{
    const char *separator = "[";
    if (spec->accuracy != AT_ACCURACY_STANDARD) {
        at_strbuf_printf(out, "%saccuracy=%s", separator, at_accuracy_name(spec->accuracy));
        separator = ", ";
    }
    if (spec->semantics != AT_SEMANTICS_TORCH) {
        at_strbuf_printf(out, "%ssemantics=cudnn", separator);
        separator = ", ";
    }
    if (spec->from_output) {
        at_strbuf_printf(out, "%sfrom=output", separator);
        separator = ", ";
    }
    if (spec->pass > 0) {
        at_strbuf_printf(out, "%spass=%d", separator, spec->pass);
        separator = ", ";
    }
    if (*separator == ',')
        at_strbuf_append(out, "] ");
    for (int i = 0; i < spec->stages; i++) {
        at_strbuf_append(out, i ? " | " : "");
        print_stage(&spec->stage[i], out);
    }
}
