/* Mutational fuzzing of the spec parser and the lowering, for a bounded time: every text gives a kernel or a message,
   and the canonical text of what parses is a fixed point. Arguments: seconds (3), seed (1). */
#include "codegen/kernel.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const seeds[] = {
    "relu",
    "gelu_tanh | clip(-6, 6)",
    "bias | silu | clip(0, 10)",
    "scale_shift | add | relu",
    "silu | mul",
    "prelu(alpha=learn) | swish(beta=channel)",
    "[accuracy=fast, semantics=cudnn] gelu | clip(lo=-1, hi=inf) | grad_clip(0.5)",
    "leaky_relu(alpha=0.1) | elu(1e-3) | bias | bias | add",
    "halves | silu | mul | quantize(i8, scale=0.05)",
    "@no_such_file.c:my_act(alpha=0.3, beta=-inf) | clip(-1, 1)",
    "add(channel) | topk(8) | dropout(p=0.1)",
};
/* Pieces that mutations put in. */
static const char *const pieces[] = {
    "|",
    "(",
    ")",
    "[",
    "]",
    ",",
    "=",
    " | ",
    "@",
    ":",
    "\n",
    "-",
    "+",
    ".",
    "e",
    "inf",
    "nan",
    "1e308",
    "1e999",
    "-0",
    "0",
    "4.9e-324",
    "learn",
    "channel",
    "relu",
    "bias",
    "clip(",
    "clip(0, 1)",
    "grad_clip(1)",
    "lo=",
    "hi=",
    "alpha=",
    "accuracy=",
    "semantics=cudnn",
    "exact",
    "\x01",
    "\xff",
    "swish(learn)",
    "mul",
    "scale_shift",
    "gleu",
    "0000000000000000000000",
};
enum {
    SEEDS = sizeof seeds / sizeof *seeds,
    PIECES = sizeof pieces / sizeof *pieces,
    TEXT_BYTES = AT_SPEC_LENGTH_MAX + 64
};

static uint64_t random_state;

static size_t random_below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % n);
}

static void insert(char *text, size_t at, const char *piece, size_t length)
{
    size_t total = strlen(text);
    if (total + length >= TEXT_BYTES)
        return;
    memmove(text + at + length, text + at, total - at + 1);
    memcpy(text + at, piece, length);
}

static void mutate(char *text)
{
    size_t length = strlen(text), at = random_below(length + 1), piece;
    char copy[64];
    switch (random_below(6)) {
    case 0: /* drop some */
        piece = 1 + random_below(4);
        if (at + piece <= length)
            memmove(text + at, text + at + piece, length - at - piece + 1);
        break;
    case 1: /* any byte but NUL */
        if (at < length)
            text[at] = (char)(1 + random_below(255));
        break;
    case 2: /* repeat some */
        piece = random_below(sizeof copy);
        piece = piece < length - at ? piece : length - at;
        memcpy(copy, text + at, piece);
        insert(text, random_below(length + 1), copy, piece);
        break;
    case 3: /* join with another seed */
        piece = random_below(SEEDS);
        insert(text, length, " | ", 3);
        insert(text, strlen(text), seeds[piece], strlen(seeds[piece]));
        break;
    default:
        piece = random_below(PIECES);
        insert(text, at, pieces[piece], strlen(pieces[piece]));
    }
}

#define CHECK(condition, text)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\nspec: <%s>\nlast error: %s\n", __FILE__, __LINE__, #condition, (text),         \
                    actune_last_error());                                                                              \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* All gradients of a forward kernel's operands, backward. */
static void check_lowering(const at_spec *spec)
{
    const char *gradients[AT_PORTS_MAX];
    at_kernel forward, backward;
    at_kernel_request request = {.direction = ACTUNE_FORWARD,
                                 .dtype_in = (actune_dtype)random_below(4),
                                 .dtype_out = (actune_dtype)random_below(4)};
    actune_status status = at_kernel_lower(spec, &request, &forward);
    bool other_type = status == ACTUNE_INVALID_ARGUMENT && strstr(actune_last_error(), "the output was said to be"); /* of quantize */
    CHECK(status == ACTUNE_OK || status == ACTUNE_UNSUPPORTED || other_type, spec->canonical);
    if (status != ACTUNE_OK)
        return;
    CHECK(forward.signature.port[0].name && !strcmp(forward.signature.port[0].name, "x"), spec->canonical);
    CHECK(forward.graph.outputs == 1 && strlen(forward.hash.hex) == 32, spec->canonical);
    request.direction = ACTUNE_BACKWARD;
    request.gradients = gradients;
    for (int i = 1; i < forward.signature.inputs; i++)
        gradients[request.gradient_count++] = forward.signature.port[i].name;
    status = at_kernel_lower(spec, &request, &backward);
    CHECK(status == ACTUNE_OK || status == ACTUNE_UNSUPPORTED, spec->canonical);
    if (status == ACTUNE_OK) { /* a gradient for each input; of x with two halves the graph has one for each */
        at_signature views;
        at_signature_views(&backward.signature, &views);
        CHECK(backward.signature.ports - backward.signature.inputs == forward.signature.inputs, spec->canonical);
        CHECK(backward.graph.outputs == views.ports - views.inputs, spec->canonical);
    }
    if (status == ACTUNE_OK)
        at_kernel_clear(&backward);
    at_kernel_clear(&forward);
}

static bool check_text(const char *text, bool lower)
{
    at_spec spec, again;
    actune_status status = at_spec_parse(text, &spec);
    if (status != ACTUNE_OK) {
        CHECK(status == ACTUNE_SYNTAX || status == ACTUNE_UNSUPPORTED || status == ACTUNE_NOT_FOUND ||
                  status == ACTUNE_IO,
              text);
        CHECK(!strncmp(actune_last_error(), "spec:", 5), text);
        CHECK(strchr(actune_last_error(), '^') || strlen(text) > AT_SPEC_LENGTH_MAX, text);
        return false;
    }
    CHECK(at_spec_parse(spec.canonical, &again) == ACTUNE_OK, text);
    CHECK(!strcmp(spec.canonical, again.canonical), text);
    CHECK(spec.stages == again.stages, text);
    if (lower)
        check_lowering(&spec);
    at_spec_clear(&again);
    at_spec_clear(&spec);
    return true;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3, end = now() + seconds;
    long tried = 0, parsed = 0;
    random_state = 0x9e3779b97f4a7c15u * (argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 1);
    for (int i = 0; i < SEEDS; i++)
        check_text(seeds[i], true);
    while (now() < end) {
        char text[TEXT_BYTES];
        strcpy(text, seeds[random_below(SEEDS)]);
        for (size_t mutations = 1 + random_below(5); mutations > 0; mutations--)
            mutate(text);
        if (random_below(1000) == 0) /* long ones */
            while (strlen(text) < AT_SPEC_LENGTH_MAX - 300 && *text)
                insert(text, strlen(text), text, strlen(text) < 200 ? strlen(text) : 200);
        parsed += check_text(text, tried % 4 == 0);
        tried++;
    }
    printf("%ld texts, %ld of them specs\n", tried, parsed);
    return parsed > 0 ? 0 : 1;
}
