/* Gated units: their names, and the halves of one tensor that they may work on. */
#include "spec_parse.h"

#include <string.h>

/* Short for stages, which are also their canonical text. Of two tensors: the gate is what comes down the pipeline, the operand `mul` the other
   tensor. Of two halves: the gate is the first, but for glu (torch.nn.GLU), where it is the second. */
static const struct {
    const char *name, *activation;
    bool second;
} units[] = {{"glu", "sigmoid", true}, {"reglu", "relu"}, {"geglu", "gelu"}, {"geglu_tanh", "gelu_tanh"}, {"swiglu", "silu"}};

enum { UNITS = sizeof units / sizeof *units };

const char *at_spec_gated_unit(int index)
{
    return index < UNITS ? units[index].name : NULL;
}

/* "(halves)", or "(first)" or "(second)": which half is the gate. */
static actune_status take_halves(at_scan *scan, int unit, at_stage *halves, bool *is_halved)
{
    *is_halved = at_scan_take(scan, '(');
    if (!*is_halved)
        return ACTUNE_OK;
    at_scan_peek(scan);
    size_t at = scan->at;
    at_slice word = at_scan_value(scan);
    halves->of_word = at_slice_is_any(word, "second") || (at_slice_is_any(word, "halves") && units[unit].second);
    if (!at_slice_is_any(word, "halves") && !at_slice_is_any(word, "first") && !at_slice_is_any(word, "second"))
        return at_scan_fail(scan, at, ACTUNE_SYNTAX,
                            "%s takes the gate as input and the other tensor as operand 'mul'; %s(halves) takes both from the rows of one tensor, "
                            "%s(first) and %s(second) say which half is the gate",
                            units[unit].name, units[unit].name, units[unit].name, units[unit].name);
    if (!at_scan_take(scan, ')'))
        return at_scan_fail(scan, scan->at, ACTUNE_SYNTAX, "the '(' of %s is not closed", units[unit].name);
    return ACTUNE_OK;
}

static int find_unit(at_scan *scan)
{
    char name[16];
    at_scan ahead = *scan;
    if (!at_slice_lower(at_scan_name(&ahead), name, sizeof name))
        return -1;
    for (int i = 0; i < UNITS; i++)
        if (!strcmp(units[i].name, name)) {
            *scan = ahead;
            return i;
        }
    return -1;
}

actune_status at_spec_take_gated_unit(at_scan *scan, at_spec *spec, bool *taken)
{
    size_t at = scan->at;
    int column = at_scan_column(scan, at), unit = find_unit(scan);
    bool is_halved;
    at_stage halves = {.kind = AT_STAGE_HALVES, .at = at, .column = column};
    *taken = unit >= 0;
    if (!*taken)
        return ACTUNE_OK;
    AT_TRY(take_halves(scan, unit, &halves, &is_halved));
    if (spec->stages + 2 + is_halved > AT_STAGES_MAX)
        return at_scan_fail(scan, at, ACTUNE_SYNTAX, "a spec has at most %d stages", AT_STAGES_MAX);
    if (is_halved)
        spec->stage[spec->stages++] = halves;
    spec->stage[spec->stages++] =
        (at_stage){.kind = AT_STAGE_ACTIVATION, .activation = at_activation_find(units[unit].activation), .at = at, .column = column};
    spec->stage[spec->stages++] = (at_stage){.kind = AT_STAGE_MUL, .at = at, .column = column};
    return ACTUNE_OK;
}

actune_status at_spec_check_halves(const at_scan *scan, at_spec *spec)
{
    for (int i = 1; i < spec->stages; i++)
        if (spec->stage[i].kind == AT_STAGE_HALVES)
            return at_scan_fail(scan, spec->stage[i].at, ACTUNE_SYNTAX, "halves takes x apart: it can only be the first stage");
    spec->halves = spec->stage[0].kind == AT_STAGE_HALVES;
    if (!spec->halves)
        return ACTUNE_OK;
    if (spec->from_output)
        return at_scan_fail(scan, spec->stage[0].at, ACTUNE_SYNTAX, "from=output and halves do not go together: leave from=output out");
    for (int i = 1; i < spec->stages; i++)
        if (spec->stage[i].kind == AT_STAGE_MUL && !spec->stage[i].of_word) {
            spec->stage[i].takes_half = true;
            return ACTUNE_OK;
        }
    return at_scan_fail(scan, spec->stage[0].at, ACTUNE_SYNTAX, "halves needs a later 'mul', which multiplies by the other half: 'halves | silu | mul'");
}
