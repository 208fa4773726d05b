#include "verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/base/dtype.h"

enum { CANARY_BYTES = AT_VERIFY_MARGIN_BYTES, CANARY = 0x5a, POISON = 0xff /* NaN in every type, and no NaN that arithmetic makes */ };

/* How one case is run. */
typedef enum manner {
    MANNER_WHOLE,
    MANNER_SHIFTED, /* every base misaligned by 1 to 3 elements */
    MANNER_CUT,     /* slices of odd lengths, last one first */
    MANNER_THREADS,
    MANNER_IN_PLACE, /* the first output is x (forward) or dy (backward) */
    MANNER_COUNT
} manner;

static const char *const manner_names[] = {"aligned", "misaligned", "cut in slices", "on threads", "in place"};

typedef struct run {
    const at_reference *reference;
    const at_signature *signature;
    const at_verify_target *target;
    at_verify_report *report;
    const at_case *of;
    manner how;
    unsigned char *memory[AT_PORTS_MAX]; /* with canaries around; NULL: shares another port's */
    void *port[AT_PORTS_MAX];
    void *workspace;
} run;

/* --- buffers --- */

static size_t port_bytes(const run *one, int port)
{
    const at_port *info = &one->signature->port[port];
    return (size_t)at_port_count(info, one->of->shape) * (size_t)at_dtype_get(info->dtype)->bytes;
}

/* The input whose memory the first output may take; -1 when types differ. */
static int in_place_input(const at_signature *signature)
{
    int input = signature->direction == ACTUNE_BACKWARD ? 1 : 0;
    const at_port *from = &signature->port[input], *to = &signature->port[signature->inputs];
    bool same =
        input < signature->inputs && from->access == AT_ACCESS_ELEMENT && to->access == from->access && from->dtype == to->dtype && !to->reduction;
    return same ? input : -1;
}

/* Integers have no NaN: each gets what is farthest from the number that is wanted there. */
static void poison(const run *one, int port, unsigned char *base, size_t bytes)
{
    memset(base, POISON, bytes);
    if (at_dtype_get(one->signature->port[port].dtype)->kind != AT_DTYPE_INTEGER)
        return;
    const double *want = one->of->want[port - one->signature->inputs];
    for (size_t i = 0; i < bytes; i++)
        base[i] = (unsigned char)((unsigned)(int)want[i] ^ 0x80);
}

static actune_status make_port(run *one, int port)
{
    size_t bytes = port_bytes(one, port), room = bytes + 2 * CANARY_BYTES + 64;
    int width = at_dtype_get(one->signature->port[port].dtype)->bytes;
    unsigned char *memory = aligned_alloc(64, (room + 63) / 64 * 64);
    if (!memory)
        return at_fail(ACTUNE_NO_MEMORY, "no memory to verify in");
    one->memory[port] = memory;
    memset(memory, CANARY, (room + 63) / 64 * 64);
    int shift = one->how == MANNER_SHIFTED ? 1 + (port + (int)(one->of->elements % 3)) % 3 : 0;
    unsigned char *base = memory + CANARY_BYTES + shift * width;
    one->port[port] = base;
    if (port >= one->signature->inputs)
        poison(one, port, base, bytes);
    else if (bytes > 0)
        memcpy(base, one->of->input[port], bytes);
    return ACTUNE_OK;
}

static actune_status make_ports(run *one)
{
    for (int p = 0; p < one->signature->ports; p++) {
        if (one->how == MANNER_IN_PLACE && p == one->signature->inputs)
            one->port[p] = one->port[in_place_input(one->signature)];
        else
            AT_TRY(make_port(one, p));
    }
    return ACTUNE_OK;
}

static void free_ports(run *one)
{
    for (int p = 0; p < one->signature->ports; p++) {
        free(one->memory[p]);
        one->memory[p] = NULL;
    }
    free(one->workspace);
    one->workspace = NULL;
}

/* --- calls --- */

static void call_cut(const at_launch *launch, void *const *ports, void *workspace)
{
    static const int64_t lengths[] = {1, 7, 16, 33, 129, 1001};
    int64_t end = launch->total;
    for (int i = 0; end > 0; i++) {
        int64_t length = i < 60 ? lengths[i % 6] : 4093;
        int64_t begin = end > length ? end - length : 0;
        actune_slice slice = {.port = ports,
                              .outer = launch->shape.outer,
                              .channels = launch->shape.channels,
                              .inner = launch->shape.inner,
                              .begin = begin,
                              .end = end};
        at_launch_slice_with(launch, &slice, at_launch_scratch(launch, workspace));
        end = begin;
    }
}

static actune_status call_kernel(run *one)
{
    at_launch launch;
    if (one->target->run)
        return one->target->run(one->target->run_user, one->of->shape, one->port);
    AT_TRY(at_launch_init(&launch, one->signature, one->reference->layout, one->of->shape,
                          one->how == MANNER_THREADS ? 3 : 1));
    launch.function = one->target->function;
    launch.interpret = one->target->interpret;
    launch.interpret_kernel = one->target->interpret_kernel;
    if (launch.workspace_bytes > 0) {
        one->workspace = malloc(launch.workspace_bytes);
        if (!one->workspace)
            return at_fail(ACTUNE_NO_MEMORY, "no memory for partial sums");
        memset(one->workspace, POISON, launch.workspace_bytes);
    }
    if (one->how == MANNER_CUT && one->signature->slots == 0)
        call_cut(&launch, one->port, one->workspace);
    else
        at_launch_run(&launch, one->target->pool, one->port, one->workspace);
    return ACTUNE_OK;
}

/* --- comparing --- */

static void fail_at(run *one, const char *what, int port, int64_t index, const char *values)
{
    at_verify_report *report = one->report;
    if (!report->passed)
        return;
    report->passed = false;
    actune_shape shape = one->of->shape;
    snprintf(report->detail, sizeof report->detail, "%s[%lld] %s (shape [%lld, %lld, %lld], %s): %s",
             one->signature->port[port].name, (long long)index, what, (long long)shape.outer, (long long)shape.channels,
             (long long)shape.inner, manner_names[one->how], values);
}

/* The element of y that the value at `index` of an output belongs to: dx of halves has two for each. */
static int64_t element_of(const run *one, const at_port *port, int64_t index)
{
    actune_shape shape = one->of->shape;
    int64_t row = one->reference->layout == AT_LAYOUT_CHANNEL_INNER ? shape.channels : shape.channels * shape.inner;
    return port->access == AT_ACCESS_HALVES ? index / (2 * row) * row + index % row : index;
}

/* "x = 1.5, bias = 2: y = 3.25, exact 3.5, 1.2 ULP, 0.8 allowed" */
static void describe(const run *one, int output, int64_t index, double got, char *text, size_t room)
{
    const at_signature *signature = one->signature;
    const at_port *port = &signature->port[signature->inputs + output];
    size_t used = 0;
    at_signature views;
    at_signature_views(signature, &views);
    for (int v = 0; v < views.inputs && !port->reduction && used < room; v++) {
        const at_port *input = &views.port[v];
        int64_t at = at_reference_index(input, one->reference->layout, one->of->shape, element_of(one, port, index));
        double value = at_dtype_load(input->dtype, one->of->input[input->buffer], at);
        used += (size_t)snprintf(text + used, room - used, "%s%s = %.9g", v ? ", " : "", input->name, value);
    }
    if (used >= room)
        return;
    double want = one->of->want[output][index];
    double ulp = (double)at_ulp(port->dtype, want);
    snprintf(text + used, room - used, "%s%s = %.9g, exact %.9g, %.3g ULP off, %.3g allowed", used ? ": " : "",
             port->name, got, want, fabs(got - want) / ulp, one->of->allowed[output][index] / ulp);
}

typedef struct finding {
    const char *what; /* NULL: as it should be */
    double error;     /* 0 where it has no meaning */
} finding;

/* The rules in verify.h. */
static finding compare(const at_port *port, bool signed_zero, double want, double allowed, double got)
{
    double most = at_dtype_max(port->dtype);
    /* From here on a value rounds to infinity. */
    double over = most + 0.5 * (double)at_ulp(port->dtype, most);
    if (isinf(allowed))
        return (finding){NULL, 0};
    if (isnan(want))
        return (finding){isnan(got) ? NULL : "should be NaN", 0};
    if (isnan(got))
        return (finding){"is NaN", 0};
    if (fabs(want) >= over || (port->dtype == ACTUNE_F64 && isinf(want))) {
        bool near = fabs(want) - allowed < over && fabs(got) >= most - allowed;
        bool right = signbit(got) == signbit(want) && (isinf(got) || near);
        return (finding){right ? NULL : "should be infinite", 0};
    }
    if (isinf(got)) {
        bool near = signbit(got) == signbit(want) && fabs(want) + allowed >= over;
        return (finding){near ? NULL : "is infinite", 0};
    }
    double error = fabs(got - want);
    if (error > allowed)
        return (finding){"is off", error};
    if (signed_zero && want == 0 && got == 0 && signbit(want) != signbit(got))
        return (finding){"has the wrong sign of zero", 0};
    return (finding){NULL, error};
}

/* Going forward, where no rounding is involved or x itself is a zero; a result that underflows may lose its sign. */
static bool keeps_sign(const run *one, int output, int64_t index)
{
    if (one->signature->direction == ACTUNE_BACKWARD || one->signature->port[one->signature->inputs + output].reduction)
        return false;
    bool coded = at_dtype_get(one->signature->port[one->signature->inputs + output].dtype)->bytes == 1; /* -0 may be a rounded number */
    bool zero = one->of->allowed[output][index] == 0 && !coded;
    at_signature views;
    at_signature_views(one->signature, &views);
    for (int v = 0; v < views.inputs; v++)
        if (views.port[v].buffer == 0 && views.port[v].half == at_reference_gate(one->reference->kernel))
            zero |= at_dtype_load(views.port[v].dtype, one->of->input[0],
                                  at_reference_index(&views.port[v], one->reference->layout, one->of->shape, index)) == 0;
    return zero;
}

static bool is_untouched(const at_port *port, const void *array, int64_t index)
{
    const unsigned char *bytes =
        (const unsigned char *)array + (size_t)index * (size_t)at_dtype_get(port->dtype)->bytes;
    for (int i = 0; i < at_dtype_get(port->dtype)->bytes; i++)
        if (bytes[i] != POISON)
            return false;
    return true;
}

/* Near zeros and in tails that a class bounds absolutely, ULPs of the result say nothing. */
#define ULP_COUNTED 64

static void keep_error(run *one, int output, int64_t index, double got, double error)
{
    at_verify_report *report = one->report;
    const at_port *port = &one->signature->port[one->signature->inputs + output];
    double want = one->of->want[output][index], allowed = one->of->allowed[output][index];
    if (error > report->max_error_absolute)
        report->max_error_absolute = error;
    double ulp = (double)at_ulp(port->dtype, want);
    if (allowed <= ULP_COUNTED * ulp && error / ulp > report->max_error_ulp)
        report->max_error_ulp = error / ulp;
    double share = error > 0 && allowed > 0 ? error / allowed : 0;
    if (share > report->max_share) {
        report->max_share = share;
        describe(one, output, index, got, report->worst, sizeof report->worst);
    }
}

/* Or what a store makes of it. */
static bool is_nan(actune_dtype dtype, double value)
{
    return isnan(value) || (value == 0 && at_dtype_get(dtype)->kind == AT_DTYPE_INTEGER);
}

static void compare_output(run *one, int output)
{
    int p = one->signature->inputs + output;
    const at_port *port = &one->signature->port[p];
    int64_t count = at_port_count(port, one->of->shape);
    if (port->reduction && port->reduction != AT_REDUCTION_MAX && one->of->values != AT_VALUES_NORMAL)
        return;
    for (int64_t i = 0; i < count; i++) {
        char values[320];
        double got = at_dtype_load(port->dtype, one->port[p], i);
        finding found =
            compare(port, keeps_sign(one, output, i), one->of->want[output][i], one->of->allowed[output][i], got);
        if (isnan(got) && is_untouched(port, one->port[p], i))
            found.what = "was not written";
        else if (is_nan(port->dtype, got) && one->of->indefinite[output][i])
            found.what = NULL;
        if (found.what) {
            describe(one, output, i, got, values, sizeof values);
            fail_at(one, found.what, p, i, values);
        }
        if (found.error > 0 && !port->reduction && isfinite(one->of->want[output][i]))
            keep_error(one, output, i, got, found.error);
    }
    one->report->compared += count;
}

static void check_canaries(run *one)
{
    for (int p = 0; p < one->signature->ports; p++) {
        if (!one->memory[p])
            continue;
        const unsigned char *base = one->port[p], *end = base + port_bytes(one, p);
        for (const unsigned char *at = one->memory[p]; at < base; at++)
            if (*at != CANARY)
                fail_at(one, "was written before its start", p,
                        (at - base) / at_dtype_get(one->signature->port[p].dtype)->bytes, "");
        for (const unsigned char *at = end; at < end + CANARY_BYTES; at++)
            if (*at != CANARY)
                fail_at(one, "was written beyond its end", p,
                        (at - base) / at_dtype_get(one->signature->port[p].dtype)->bytes, "");
        bool overwritten = one->how == MANNER_IN_PLACE && p == in_place_input(one->signature);
        if (p < one->signature->inputs && !overwritten && end > base &&
            memcmp(base, one->of->input[p], (size_t)(end - base)) != 0)
            fail_at(one, "is an input and was changed", p, 0, "");
    }
}

/* --- the matrix of cases and manners --- */

static bool is_wanted(const run *one)
{
    switch (one->how) {
    case MANNER_CUT: /* with sums, chunks are the pieces: the launch cuts them */
        return one->signature->slots == 0 && one->of->elements > 1 && !one->target->run &&
               one->of->values != AT_VALUES_EXHAUSTIVE;
    case MANNER_THREADS:
        return one->target->pool && one->of->elements >= 8192 && one->of->values != AT_VALUES_EXHAUSTIVE;
    case MANNER_IN_PLACE:
        return !one->target->apart && in_place_input(one->signature) >= 0 && one->of->values != AT_VALUES_EXHAUSTIVE;
    default:
        return one->how == MANNER_WHOLE || one->of->values != AT_VALUES_EXHAUSTIVE;
    }
}

static actune_status run_case(run *one)
{
    actune_status status = make_ports(one);
    if (status == ACTUNE_OK)
        status = call_kernel(one);
    for (int k = 0; status == ACTUNE_OK && k < one->signature->ports - one->signature->inputs; k++)
        compare_output(one, k);
    if (status == ACTUNE_OK)
        check_canaries(one);
    free_ports(one);
    return status;
}

actune_status at_verify(const at_reference *reference, const at_verify_target *target, at_verify_report *report)
{
    *report = (at_verify_report){.passed = true};
    run one = {.reference = reference, .signature = &reference->kernel->signature, .target = target, .report = report};
    for (int i = 0; i < reference->count; i++)
        for (one.how = MANNER_WHOLE; one.how < MANNER_COUNT && report->passed; one.how++) {
            one.of = &reference->cases[i];
            report->exhaustive |= one.of->values == AT_VALUES_EXHAUSTIVE;
            if (is_wanted(&one))
                AT_TRY(run_case(&one));
        }
    return ACTUNE_OK;
}

static actune_status build_variant(at_cache *cache, const at_device *device, at_generate_item *item, at_binary **binary)
{
    at_target target = {.isa = device->isa};
    at_strbuf source = {0};
    at_build_info info;
    actune_status status = at_generate_batch(item, 1, &target, &source);
    if (status == ACTUNE_OK)
        status = item->status;
    if (status == ACTUNE_OK)
        status = at_binary_build(cache, at_strbuf_text(&source), at_isa_name(device->isa), false, binary, &info);
    at_strbuf_clear(&source);
    return status;
}

actune_status at_verify_build(at_cache *cache, const at_device *device, const at_kernel *kernel, at_layout layout,
                              const at_variant *variant, at_binary **binary, at_verify_target *target)
{
    at_generate_item item = {.kernel = kernel, .layout = layout, .variant = variant};
    AT_TRY(build_variant(cache, device, &item, binary));
    *target = (at_verify_target){.function = at_binary_symbol(*binary, item.symbol)};
    if (target->function)
        return ACTUNE_OK;
    at_binary_release(*binary);
    return at_fail(ACTUNE_INTERNAL, "%s is missing in its own binary", item.symbol);
}

actune_status at_verify_kernel(at_cache *cache, const at_device *device, const at_kernel *kernel, at_layout layout,
                               const at_variant *variant, at_verify_report *report)
{
    at_verify_target target;
    at_reference reference = {0};
    at_binary *binary;
    AT_TRY(at_verify_build(cache, device, kernel, layout, variant, &binary, &target));
    actune_status status = at_pool_create(2, &target.pool);
    if (status == ACTUNE_OK)
        status = at_reference_init(&reference, kernel, layout, 1);
    if (status == ACTUNE_OK)
        status = at_verify(&reference, &target, report);
    at_reference_clear(&reference);
    at_pool_destroy(target.pool);
    at_binary_release(binary);
    return status;
}
