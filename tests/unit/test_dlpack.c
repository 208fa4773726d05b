/* DLPack in and out. The structures are written out here once more, as any other library has them. */
#include <actune/dlpack.h>
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    void *data;
    int32_t device_type, device_id;
    int32_t ndim;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} tensor_t;
typedef struct managed_t {
    tensor_t dl_tensor;
    void *manager_ctx;
    void (*deleter)(struct managed_t *);
} managed_t;
typedef struct versioned_t {
    uint32_t major, minor;
    void *manager_ctx;
    void (*deleter)(struct versioned_t *);
    uint64_t flags;
    tensor_t dl_tensor;
} versioned_t;

static float memory[4096];

static tensor_t f32_tensor(int rank, int64_t *shape, int64_t *strides)
{
    return (tensor_t){.data = memory, .device_type = 1, .ndim = rank, .code = 2, .bits = 32, .lanes = 1, .shape = shape, .strides = strides};
}

Test(dlpack, layouts)
{
    cr_assert_eq(sizeof(tensor_t), 48);
    cr_assert_eq(sizeof(managed_t), 64);
    cr_assert_eq(sizeof(versioned_t), 80);
    static const struct {
        int rank;
        int64_t extent[5], stride[5];
        actune_axis channels;
        int64_t outer, channel, inner;
        bool last;
    } cases[] = {
        {4, {2, 3, 4, 5}, {60, 20, 5, 1}, ACTUNE_AXIS_SECOND, 2, 3, 20},
        {4, {2, 3, 4, 5}, {60, 1, 15, 3}, ACTUNE_AXIS_SECOND, 2, 3, 20, true}, /* channels last */
        {4, {2, 4, 5, 3}, {60, 15, 3, 1}, ACTUNE_AXIS_LAST, 2, 3, 20, true},
        {4, {2, 3, 4, 5}, {3, 1, 30, 6}, ACTUNE_AXIS_SECOND, 40, 3, 1},   /* H, W, N, C */
        {4, {2, 3, 4, 5}, {20, 40, 5, 1}, ACTUNE_AXIS_SECOND, 1, 3, 40},  /* C, N, H, W */
        {2, {6, 7}, {1, 6}, ACTUNE_AXIS_LAST, 1, 7, 6},                   /* a transposed matrix */
        {2, {6, 7}, {1, 6}, ACTUNE_AXIS_NONE, 1, 1, 42},
        {4, {1, 3, 1, 5}, {999, 5, -7, 1}, ACTUNE_AXIS_SECOND, 1, 3, 5},  /* strides of extent 1 mean nothing */
        {4, {2, 1, 4, 5}, {20, 20, 5, 1}, ACTUNE_AXIS_SECOND, 2, 1, 20},
        {4, {2, 1, 4, 5}, {20, 1, 5, 1}, ACTUNE_AXIS_SECOND, 2, 1, 20},   /* one channel: nowhere in particular */
        {1, {9}, {1}, ACTUNE_AXIS_LAST, 1, 9, 1},
        {0, {0}, {0}, ACTUNE_AXIS_NONE, 1, 1, 1},
        {3, {2, 0, 5}, {7, 7, 7}, ACTUNE_AXIS_SECOND, 2, 0, 5},           /* nothing in it: no strides to agree with */
        {5, {2, 3, 2, 2, 5}, {60, 20, 10, 5, 1}, ACTUNE_AXIS_SECOND, 2, 3, 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t extent[5], stride[5];
        memcpy(extent, cases[i].extent, sizeof extent);
        memcpy(stride, cases[i].stride, sizeof stride);
        tensor_t tensor = f32_tensor(cases[i].rank, extent, stride);
        actune_tensor out;
        cr_assert_eq(actune_tensor_import(&tensor, ACTUNE_DLPACK_TENSOR, cases[i].channels, &out), ACTUNE_OK, "%zu: %s", i, actune_last_error());
        cr_assert(out.shape.outer == cases[i].outer && out.shape.channels == cases[i].channel && out.shape.inner == cases[i].inner &&
                      out.shape.channels_last == cases[i].last,
                  "%zu: %ld %ld %ld", i, (long)out.shape.outer, (long)out.shape.channels, (long)out.shape.inner);
        cr_assert_eq(out.buffer.count, cases[i].outer * cases[i].channel * cases[i].inner);
    }
}

Test(dlpack, no_strides_are_row_major_and_the_offset_counts)
{
    int64_t extent[] = {2, 3};
    tensor_t tensor = f32_tensor(2, extent, NULL);
    actune_tensor out;
    tensor.byte_offset = 16;
    cr_assert_eq(actune_tensor_import(&tensor, ACTUNE_DLPACK_TENSOR, ACTUNE_AXIS_LAST, &out), ACTUNE_OK);
    cr_assert_eq(out.buffer.data, (void *)(memory + 4));
    cr_assert(out.shape.outer == 2 && out.shape.channels == 3 && out.shape.inner == 1);
}

static void refused(tensor_t tensor, actune_axis channels, actune_status status, const char *says)
{
    actune_tensor out = {.rank = 77};
    cr_assert_eq(actune_tensor_import(&tensor, ACTUNE_DLPACK_TENSOR, channels, &out), status, "%s", says);
    cr_assert(strstr(actune_last_error(), says), "'%s' says nothing of '%s'", actune_last_error(), says);
    cr_assert_eq(out.rank, 77);
}

Test(dlpack, what_is_refused)
{
    int64_t extent[9] = {4, 5, 1, 1, 1, 1, 1, 1, 1}, gap[] = {6, 1}, repeated[] = {0, 1}, back[] = {-5, 1}, dense[9] = {5, 1};
    refused(f32_tensor(2, extent, gap), ACTUNE_AXIS_NONE, ACTUNE_INVALID_ARGUMENT, "axis 0 of the tensor has stride 6 where 5");
    refused(f32_tensor(2, extent, repeated), ACTUNE_AXIS_NONE, ACTUNE_INVALID_ARGUMENT, "contiguous copy");
    refused(f32_tensor(2, extent, back), ACTUNE_AXIS_NONE, ACTUNE_INVALID_ARGUMENT, "stride");
    refused(f32_tensor(9, extent, dense), ACTUNE_AXIS_NONE, ACTUNE_INVALID_ARGUMENT, "9 axes");
    refused(f32_tensor(1, extent, (int64_t[]){1}), ACTUNE_AXIS_SECOND, ACTUNE_INVALID_ARGUMENT, "second");
    refused(f32_tensor(0, extent, NULL), ACTUNE_AXIS_LAST, ACTUNE_INVALID_ARGUMENT, "last");
    refused(f32_tensor(2, extent, dense), (actune_axis)9, ACTUNE_INVALID_ARGUMENT, "channels");
    refused(f32_tensor(2, NULL, NULL), ACTUNE_AXIS_NONE, ACTUNE_INVALID_ARGUMENT, "no extents");
    refused(f32_tensor(2, (int64_t[]){3, -1}, NULL), ACTUNE_AXIS_NONE, ACTUNE_INVALID_ARGUMENT, "axis 1 is negative");
    refused(f32_tensor(2, (int64_t[]){INT64_MAX, 2}, NULL), ACTUNE_AXIS_NONE, ACTUNE_INVALID_ARGUMENT, "too large");
    tensor_t t = f32_tensor(2, extent, dense);
    t.lanes = 4;
    refused(t, ACTUNE_AXIS_NONE, ACTUNE_UNSUPPORTED, "4 lanes");
    t = f32_tensor(2, extent, dense);
    t.code = 5, t.bits = 64;
    refused(t, ACTUNE_AXIS_NONE, ACTUNE_UNSUPPORTED, "type code 5");
    t = f32_tensor(2, extent, dense);
    t.device_type = 7;
    refused(t, ACTUNE_AXIS_NONE, ACTUNE_UNSUPPORTED, "device type 7");
    t = f32_tensor(2, extent, dense);
    t.data = NULL;
    refused(t, ACTUNE_AXIS_NONE, ACTUNE_INVALID_ARGUMENT, "NULL");
    t = f32_tensor(2, extent, dense);
    t.byte_offset = 2;
    refused(t, ACTUNE_AXIS_NONE, ACTUNE_INVALID_ARGUMENT, "aligned");
    actune_tensor out;
    cr_assert_eq(actune_tensor_import(NULL, ACTUNE_DLPACK_TENSOR, ACTUNE_AXIS_NONE, &out), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_tensor_import(&t, (actune_dlpack)5, ACTUNE_AXIS_NONE, &out), ACTUNE_INVALID_ARGUMENT);
    versioned_t next = {.major = 2, .dl_tensor = f32_tensor(2, extent, dense)};
    cr_assert_eq(actune_tensor_import(&next, ACTUNE_DLPACK_VERSIONED, ACTUNE_AXIS_NONE, &out), ACTUNE_UNSUPPORTED);
    cr_assert(strstr(actune_last_error(), "DLPack 2.0"));
}

static actune_plan *open_plan(const char *spec, actune_shape shape, actune_context **context)
{
    static const actune_source sources[] = {{"twice.c", "float twice(float x) { return 2 * x; }\n"}};
    actune_context_options options = {.database = ""};
    actune_plan *plan;
    setenv("ACTUNE_INTERPRET", "1", 1); /* which code runs does not matter here */
    cr_assert_eq(actune_context_open(&options, context), ACTUNE_OK, "%s", actune_last_error());
    actune_plan_desc desc = {.spec = spec, .shape = shape, .sources = sources, .source_count = 1};
    cr_assert_eq(actune_plan_create(*context, &desc, &plan), ACTUNE_OK, "%s", actune_last_error());
    return plan;
}

static actune_tensor import_f32(void *data, int rank, int64_t *extent, int64_t *stride, actune_axis channels, uint64_t flags)
{
    actune_tensor out;
    versioned_t managed = {.major = 1, .minor = 3, .flags = flags, .dl_tensor = f32_tensor(rank, extent, stride)};
    managed.dl_tensor.data = data;
    cr_assert_eq(actune_tensor_import(&managed, ACTUNE_DLPACK_VERSIONED, channels, &out), ACTUNE_OK, "%s", actune_last_error());
    return out;
}

/* A channels-last image: each element meets its own channel's bias. */
Test(dlpack, executes_channels_last)
{
    enum { N = 2, C = 3, H = 2, W = 5, COUNT = N * C * H * W };
    int64_t extent[] = {N, C, H, W}, last[] = {H * W * C, 1, W * C, C}, rows[] = {C * H * W, H * W, W, 1}, one[] = {1}, channels[] = {C};
    static float x[COUNT], y[COUNT], add[COUNT], bias[C] = {100, 200, 300};
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)i, add[i] = 1000;
    actune_tensor tx = import_f32(x, 4, extent, last, ACTUNE_AXIS_SECOND, 0), ty = import_f32(y, 4, extent, last, ACTUNE_AXIS_SECOND, 0);
    actune_tensor tb = import_f32(bias, 1, channels, one, ACTUNE_AXIS_LAST, 1), ta = import_f32(add, 4, extent, last, ACTUNE_AXIS_SECOND, 0);
    actune_context *context;
    actune_plan *plan = open_plan("@twice.c:twice | bias | add", tx.shape, &context);
    const actune_tensor *tensors[] = {&tx, &tb, &ta, &ty};
    cr_assert_eq(actune_execute_tensors(plan, tensors, 4, NULL, NULL), ACTUNE_OK, "%s", actune_last_error());
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(y[i], (float)(2 * i + 100 * (i % C + 1) + 1000), "%d", i);

    actune_tensor other = import_f32(add, 4, extent, rows, ACTUNE_AXIS_SECOND, 0);
    const actune_tensor *mixed[] = {&tx, &tb, &other, &ty};
    cr_assert_eq(actune_execute_tensors(plan, mixed, 4, NULL, NULL), ACTUNE_INVALID_ARGUMENT);
    cr_assert(strstr(actune_last_error(), "tensor 2 (add) lie in another order"), "%s", actune_last_error());
    actune_tensor frozen = import_f32(y, 4, extent, last, ACTUNE_AXIS_SECOND, 1);
    const actune_tensor *read_only[] = {&tx, &tb, &ta, &frozen};
    cr_assert_eq(actune_execute_tensors(plan, read_only, 4, NULL, NULL), ACTUNE_INVALID_ARGUMENT);
    cr_assert(strstr(actune_last_error(), "tensor 3 (y) would be written"), "%s", actune_last_error());
    actune_tensor away = ta;
    away.is_cuda = true;
    const actune_tensor *elsewhere[] = {&tx, &tb, &away, &ty}, *missing[] = {&tx, &tb, NULL, &ty};
    cr_assert_eq(actune_execute_tensors(plan, elsewhere, 4, NULL, NULL), ACTUNE_INVALID_ARGUMENT);
    cr_assert(strstr(actune_last_error(), "tensor 2 (add) is on cuda:0, the plan on the CPU"), "%s", actune_last_error());
    cr_assert_eq(actune_execute_tensors(plan, missing, 4, NULL, NULL), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_execute_tensors(plan, tensors, 3, NULL, NULL), ACTUNE_INVALID_ARGUMENT);
    actune_plan_destroy(plan);
    actune_context_close(context);
}

/* One value for each image and channel, in either order of the image's memory; two halves of the channels. */
Test(dlpack, tells_images_apart)
{
    enum { N = 2, C = 4, H = 3, W = 2, COUNT = N * C * H * W };
    int64_t extent[] = {N, C, H, W}, half[] = {N, C / 2, H, W}, last[] = {H * W * C, 1, W * C, C}, half_last[] = {H * W * C / 2, 1, W * C / 2, C / 2};
    int64_t planes[] = {N, C};
    static float x[COUNT], y[COUNT], mul[N * C];
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)i;
    for (int i = 0; i < N * C; i++)
        mul[i] = (float)(i + 1);
    for (int channels_last = 0; channels_last < 2; channels_last++) {
        actune_tensor tx = import_f32(x, 4, extent, channels_last ? last : NULL, ACTUNE_AXIS_SECOND, 0), tm = import_f32(mul, 2, planes, NULL, ACTUNE_AXIS_NONE, 0);
        actune_tensor ty = import_f32(y, 4, extent, channels_last ? last : NULL, ACTUNE_AXIS_SECOND, 0);
        actune_tensor th = import_f32(y, 4, half, channels_last ? half_last : NULL, ACTUNE_AXIS_SECOND, 0);
        actune_context *context;
        actune_plan *plan = open_plan("mul(channel)", tx.shape, &context);
        const actune_tensor *tensors[] = {&tx, &tm, &ty};
        cr_assert_eq(actune_execute_tensors(plan, tensors, 3, NULL, NULL), ACTUNE_OK, "%s", actune_last_error());
        for (int i = 0; i < COUNT; i++) {
            int channel = channels_last ? i % C : i / (H * W) % C;
            cr_assert_eq(y[i], x[i] * mul[i / (C * H * W) * C + channel], "%d", i);
        }
        actune_plan_destroy(plan);
        actune_context_close(context);
        plan = open_plan("reglu(halves)", tx.shape, &context);
        const actune_tensor *halves[] = {&tx, &th};
        cr_assert_eq(actune_execute_tensors(plan, halves, 2, NULL, NULL), ACTUNE_OK, "%s", actune_last_error());
        for (int i = 0; i < COUNT / 2; i++) {
            int row = channels_last ? C / 2 : C * H * W / 2, first = i / row * 2 * row + i % row;
            cr_assert_eq(y[i], x[first] * x[first + row], "%d", i);
        }
        actune_plan_destroy(plan);
        actune_context_close(context);
    }
}

static int released;

static void count_release(void *user)
{
    released += *(int *)user;
}

Test(dlpack, hands_out)
{
    int64_t extent[] = {2, 3};
    int seven = 7;
    void *out;
    actune_tensor_export_desc desc = {
        .buffer = {memory, 6, ACTUNE_F32}, .extent = extent, .rank = 2, .read_only = true, .release = count_release, .user = &seven};
    cr_assert_eq(actune_tensor_export(&desc, ACTUNE_DLPACK_VERSIONED, &out), ACTUNE_OK, "%s", actune_last_error());
    versioned_t *v = out;
    cr_assert(v->major == 1 && v->flags == 1 && v->dl_tensor.ndim == 2 && v->dl_tensor.code == 2 && v->dl_tensor.bits == 32);
    cr_assert(v->dl_tensor.strides[0] == 3 && v->dl_tensor.strides[1] == 1 && v->dl_tensor.data == memory && v->dl_tensor.device_type == 1);
    extent[0] = 99; /* a copy was taken */
    cr_assert_eq(v->dl_tensor.shape[0], 2);
    extent[0] = 2;
    actune_tensor back;
    cr_assert_eq(actune_tensor_import(out, ACTUNE_DLPACK_VERSIONED, ACTUNE_AXIS_LAST, &back), ACTUNE_OK);
    cr_assert(back.read_only && back.shape.outer == 2 && back.shape.channels == 3);
    v->deleter(v);
    cr_assert_eq(released, 7);

    desc.read_only = false, desc.is_cuda = true, desc.device = 3, desc.buffer.dtype = ACTUNE_BF16;
    cr_assert_eq(actune_tensor_export(&desc, ACTUNE_DLPACK_MANAGED, &out), ACTUNE_OK);
    managed_t *m = out;
    cr_assert(m->dl_tensor.device_type == 2 && m->dl_tensor.device_id == 3 && m->dl_tensor.code == 4 && m->dl_tensor.bits == 16);
    m->deleter(m);
    cr_assert_eq(released, 14);

    desc.read_only = true;
    cr_assert_eq(actune_tensor_export(&desc, ACTUNE_DLPACK_MANAGED, &out), ACTUNE_UNSUPPORTED);
    cr_assert_eq(actune_tensor_export(&desc, ACTUNE_DLPACK_TENSOR, &out), ACTUNE_INVALID_ARGUMENT);
    desc.buffer.count = 5;
    cr_assert_eq(actune_tensor_export(&desc, ACTUNE_DLPACK_VERSIONED, &out), ACTUNE_INVALID_ARGUMENT);
    cr_assert(strstr(actune_last_error(), "6 elements, the buffer has 5"), "%s", actune_last_error());
    desc.extent = (int64_t[]){2, -3};
    cr_assert_eq(actune_tensor_export(&desc, ACTUNE_DLPACK_VERSIONED, &out), ACTUNE_INVALID_ARGUMENT);
    desc.rank = 9;
    cr_assert_eq(actune_tensor_export(&desc, ACTUNE_DLPACK_VERSIONED, &out), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(released, 14);
}
