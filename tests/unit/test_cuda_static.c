/* Variants judged without a GPU: cubins read, twins found, what cannot win dropped. */
#include "cuda_text.h"

#include "runtime/backend/cubin.h"
#include "tuner/cuda_static.h"

#include <stdlib.h>

static at_kernel kernel;

static const at_target sm_90 = {.cuda = true, .cuda_arch = 90};

static at_cuda_static judge(const char *settings)
{
    at_variant variant;
    at_cuda_static entry;
    make_variant(&kernel, AT_LAYOUT_FLAT, 90, settings, &variant);
    cr_assert_eq(at_cuda_static_read(&kernel, AT_LAYOUT_FLAT, &sm_90, &variant, &entry), ACTUNE_OK, "%s", actune_last_error());
    return entry;
}

Test(cuda_static, variants, .timeout = 60)
{
    at_kernel_request request = {ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, NULL, 0};
    make_kernel("[accuracy=fast] relu", request, &kernel);
    if (!have_nvrtc())
        return;
    at_cuda_static plain = judge("");
    cr_expect(plain.registers > 0 && plain.registers <= 64, "%d registers", plain.registers);
    cr_expect_eq(plain.spill_bytes, 0);
    cr_expect_eq(plain.shared_bytes, 0);
    cr_expect(plain.resident_blocks >= 4 && plain.resident_blocks <= 8, "%d blocks", plain.resident_blocks);
    cr_expect_float_eq(plain.occupancy, plain.resident_blocks / 8.0, 1e-9);
    cr_expect_eq(plain.flight_bytes, plain.resident_blocks * 4096); /* 256 threads of 16 bytes */
    cr_expect_gt(plain.code_bytes, 256);
    /* Static shared memory, as the template asks for it: two stages of 4 KiB; the barriers of a ring on top. */
    cr_expect_eq(judge("grid=wave copy=async stages=2").shared_bytes, 8192);
    int ring = judge("grid=wave copy=bulk stages=4").shared_bytes;
    cr_expect(ring > 16384 && ring <= 16384 + 128, "%d bytes", ring);
    /* What cannot be: no text; and the caller is told why. */
    at_cuda_static impossible = judge("copy=async");
    cr_expect_eq(impossible.status, ACTUNE_UNSUPPORTED);
    cr_expect(impossible.dropped);
    /* A hint that this machine code does not show, or a launch that differs. */
    at_cuda_static list[] = {plain, judge("grid=wave"), judge("grid=x4"), judge("grid=wave"), judge("block=512"), impossible};
    at_cuda_static_drop(list, 6, 0);
    cr_expect_null(list[0].dropped);
    cr_expect_null(list[1].dropped);
    cr_expect_null(list[2].dropped, "the same code, launched in another way");
    cr_expect_eq(list[3].twin, 1);
    cr_expect(list[3].dropped);
    cr_expect_null(list[4].dropped);
    cr_expect_eq(list[5].twin, -1);
    at_kernel_clear(&kernel);
}

static at_cuda_static entry(const char *hash, int spills, int resident, int64_t flight)
{
    at_cuda_static made = {.twin = -1, .spill_bytes = spills, .resident_blocks = resident, .flight_bytes = flight};
    snprintf(made.code_hash.hex, sizeof made.code_hash.hex, "%s", hash);
    return made;
}

Test(cuda_static, drops_what_cannot_win)
{
    at_cuda_static list[] = {entry("a", 0, 8, 9000), entry("a", 0, 8, 9000), entry("b", 64, 8, 99999), entry("c", 0, 0, 0),
                             entry("d", 0, 2, 1000), entry("e", 0, 4, 40000)};
    at_cuda_static_drop(list, 6, 30000);
    static const bool dropped[] = {true, true, true, true, true, false};
    for (int i = 0; i < 6; i++)
        cr_expect_eq(list[i].dropped != NULL, dropped[i], "%d: %s", i, list[i].dropped ? list[i].dropped : "kept");
    cr_expect_eq(list[1].twin, 0);
    /* Code alone is not all: what a block takes of an SM is said beside it. */
    at_cuda_static apart[] = {entry("a", 0, 8, 9000), entry("a", 0, 8, 9000), entry("a", 0, 8, 9000)};
    apart[1].shared_bytes = 1024;
    apart[2].registers = 40;
    at_cuda_static_drop(apart, 3, 0);
    cr_expect(apart[1].twin == -1 && apart[2].twin == -1);
    /* Where all are bad in one way, they stay. */
    at_cuda_static spilling[] = {entry("a", 64, 8, 10), entry("b", 32, 8, 20)};
    at_cuda_static_drop(spilling, 2, 30000);
    cr_expect_null(spilling[0].dropped);
    cr_expect_null(spilling[1].dropped);
    cr_expect_eq(at_cuda_wanted_flight(4800, 132, 800), 29090);
    cr_expect_eq(at_cuda_wanted_flight(4800, 0, 800), 0);
}

/* A file cut short or with bytes changed is refused or read, never overrun (the sanitizers watch). */
Test(cuda_static, damaged_cubins, .timeout = 60)
{
    at_cubin_kernel read;
    at_nvrtc_output output;
    cr_expect_eq(at_cubin_read("", 0, "kernel", &read), ACTUNE_SYNTAX);
    cr_expect_eq(at_cubin_read("not an ELF file, and long enough to hold a header of sixty-four bytes", 69, "kernel", &read), ACTUNE_SYNTAX);
    if (!have_nvrtc())
        return;
    cr_assert_eq(at_nvrtc_compile("extern \"C\" __global__ void kernel(float *x) { x[threadIdx.x] *= 3; }", "k.cu", 90, true, &output), ACTUNE_OK,
                 "%s", actune_last_error());
    cr_expect_eq(at_cubin_read(output.code, output.bytes, "kernel", &read), ACTUNE_OK);
    cr_expect_eq(read.registers, output.registers);
    cr_expect_eq(at_cubin_read(output.code, output.bytes, "other", &read), ACTUNE_NOT_FOUND);
    for (size_t bytes = 0; bytes < output.bytes; bytes += 7) {
        char *cut = malloc(bytes + 1);
        memcpy(cut, output.code, bytes);
        /* Only the program headers, which nobody reads, stand behind the table of sections. */
        if (at_cubin_read(cut, bytes, "kernel", &read) == ACTUNE_OK)
            cr_expect(bytes * 10 > output.bytes * 8 && read.registers == output.registers, "%zu of %zu bytes", bytes, output.bytes);
        free(cut);
    }
    unsigned seed = 1;
    char *changed = malloc(output.bytes);
    for (int round = 0; round < 20000; round++) {
        memcpy(changed, output.code, output.bytes);
        for (int k = 0; k < 3; k++) {
            seed = seed * 1664525 + 1013904223;
            size_t from = seed & 1 ? 0 : output.bytes - 2048; /* headers and the table of sections */
            changed[(from + (seed >> 8) % 2048) % output.bytes] = (char)(seed >> 3);
        }
        (void)!at_cubin_read(changed, output.bytes, "kernel", &read);
    }
    free(changed);
    at_nvrtc_output_clear(&output);
}
