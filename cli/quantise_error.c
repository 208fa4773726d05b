#include "quantise_error.h"

#include "codegen/quantize.h"
#include "runtime/backend/interp.h"
#include "runtime/base/dtype.h"
#include "tuner/stats.h"

#include <math.h>
#include <stdlib.h>

static actune_status interpret(const at_spec *spec, actune_dtype in, actune_dtype out, void *x, void *y)
{
    at_kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    at_kernel_request request = {.direction = ACTUNE_FORWARD, .dtype_in = in, .dtype_out = out};
    actune_status status = at_kernel_lower(spec, &request, kernel);
    if (!status) {
        void *ports[] = {x, y};
        at_interpret(kernel, AT_LAYOUT_FLAT, &(actune_slice){.port = ports, .outer = 1, .channels = 1, .inner = QUANTISE_SAMPLES, .end = QUANTISE_SAMPLES});
        at_kernel_clear(kernel);
    }
    free(kernel);
    return status;
}

/* x and nothing else, the scale a number. */
static bool stands_alone(const at_spec *spec, actune_dtype in, actune_dtype out)
{
    at_kernel *kernel = calloc(1, sizeof *kernel);
    at_kernel_request request = {.direction = ACTUNE_FORWARD, .dtype_in = in, .dtype_out = out};
    bool alone = kernel && !at_kernel_lower(spec, &request, kernel) && kernel->signature.ports == 2;
    if (kernel)
        at_kernel_clear(kernel);
    free(kernel);
    return alone;
}

static void compare(const at_argument *argument, actune_dtype out, const double *plain, const unsigned char *codes, quantise_error *error)
{
    double scale = (double)(float)argument[AT_QUANTIZE_SCALE].value, zero = argument[AT_QUANTIZE_ZERO_POINT].value, signal = 0, noise = 0;
    for (int i = 0; i < QUANTISE_SAMPLES; i++) {
        double off = (at_dtype_load(out, codes, i) - zero) * scale - plain[i];
        error->largest = fmax(error->largest, fabs(off));
        signal += plain[i] * plain[i];
        noise += off * off;
    }
    error->mean_square = noise / QUANTISE_SAMPLES;
    error->sqnr_db = 10 * log10(signal / noise);
    error->known = true;
}

static actune_status measure(at_spec *spec, actune_dtype in, actune_dtype out, quantise_error *error)
{
    const at_argument *argument = spec->stage[spec->stages - 1].argument;
    at_random random = {7};
    double *x = calloc(QUANTISE_SAMPLES, sizeof *x), *y = calloc(QUANTISE_SAMPLES, sizeof *y);
    unsigned char *codes = calloc(QUANTISE_SAMPLES, 1);
    actune_status status = x && y && codes ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "out of memory");
    for (int i = 0; i < QUANTISE_SAMPLES && !status; i++)
        at_dtype_store(in, x, i, (at_dtype_get(in)->kind == AT_DTYPE_INTEGER ? 32 : 2) * at_random_normal(&random));
    if (!status)
        status = interpret(spec, in, out, x, codes);
    actune_dtype plain = at_dtype_get(in)->compute;
    spec->stages--;
    if (!status && spec->stages > 0)
        status = interpret(spec, in, plain, x, y);
    for (int i = spec->stages > 0 ? QUANTISE_SAMPLES : 0; i < QUANTISE_SAMPLES && !status; i++)
        at_dtype_store(plain, y, i, at_dtype_load(in, x, i));
    for (int i = QUANTISE_SAMPLES - 1; i >= 0 && !status; i--) /* to doubles, in place */
        y[i] = at_dtype_load(plain, y, i);
    if (!status)
        compare(argument, out, y, codes, error);
    spec->stages++;
    free(x);
    free(y);
    free(codes);
    return status;
}

actune_status cli_quantise_error(const char *text, actune_dtype in, quantise_error *error)
{
    actune_dtype out;
    *error = (quantise_error){.known = false};
    at_spec *spec = calloc(1, sizeof *spec);
    if (!spec)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    actune_status status = at_spec_parse(text, spec);
    if (!status) {
        if (at_quantize_output(spec, &out) && stands_alone(spec, in, out))
            status = measure(spec, in, out, error);
        at_spec_clear(spec);
    }
    free(spec);
    return status;
}
