#include "codegen/variant.h"

#include <criterion/criterion.h>
#include <string.h>

static actune_status count_visits(void *user, const at_variant *variant)
{
    (void)variant;
    ++*(int *)user;
    return ACTUNE_OK;
}

static actune_status stop_at_three(void *user, const at_variant *variant)
{
    (void)variant;
    return ++*(int *)user == 3 ? ACTUNE_INTERRUPTED : ACTUNE_OK;
}

static actune_status keep_first(void *user, const at_variant *variant)
{
    at_variant *first = user;
    if (!first->template_name)
        *first = *variant;
    return ACTUNE_OK;
}

static at_kernel plain_kernel(at_node *node)
{
    *node = (at_node){AT_OP_INPUT, {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE}, 0, 0};
    at_kernel kernel = {.spec = "identity", .graph = {.nodes = node, .count = 1, .outputs = 1}};
    kernel.signature =
        (at_signature){.port = {{.name = "x"}, {.name = "y", .is_output = true}}, .ports = 2, .inputs = 1};
    return kernel;
}

Test(variant, text_and_back)
{
    at_arena arena = {0};
    at_variant variant;
    at_strbuf text = {0};
    cr_assert_eq(at_variant_parse("cpu/elementwise unroll=2 width=32", &arena, &variant), ACTUNE_OK, "%s",
                 actune_last_error());
    cr_expect_str_eq(at_variant_knob(&variant, "unroll", "?"), "2");
    cr_expect_str_eq(at_variant_knob(&variant, "store", "?"), "plain",
                     "a knob that the text leaves out has its first value");
    cr_expect_str_eq(at_variant_knob(&variant, "nothing", "?"), "?");
    at_variant_print(&variant, &text);
    cr_expect(strstr(text.text, "cpu/elementwise ") == text.text && strstr(text.text, " width=32 unroll=2 "), "%s",
              text.text);
    at_variant again;
    at_strbuf text2 = {0};
    cr_assert_eq(at_variant_parse(text.text, &arena, &again), ACTUNE_OK);
    at_variant_print(&again, &text2);
    cr_expect_str_eq(text.text, text2.text);
    static const char *const bad[] = {"", "cpu/nothing", "cpu/elementwise width", "cpu/elementwise width=7",
                                      "cpu/elementwise color=red"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_neq(at_variant_parse(bad[i], &arena, &again), ACTUNE_OK, "'%s' was taken", bad[i]);
    cr_expect_eq(at_variant_set(&variant, "width", "8"), ACTUNE_INVALID_ARGUMENT);
    cr_expect(strstr(actune_last_error(), "64 32 16"), "admitted values are named: %s", actune_last_error());
    cr_expect_eq(at_variant_set(&variant, "color", "red"), ACTUNE_INVALID_ARGUMENT);
    cr_expect(strstr(actune_last_error(), "unroll"), "knobs are named: %s", actune_last_error());
    at_strbuf_clear(&text);
    at_strbuf_clear(&text2);
    at_arena_clear(&arena);
}

Test(variant, space)
{
    at_node node;
    at_kernel kernel = plain_kernel(&node);
    static const struct {
        at_isa isa;
        int variants;
    } cases[] = {{AT_ISA_X86_V4, 3 * 3 * 6 * 8},
                 {AT_ISA_X86_V3, 2 * 3 * 6 * 8},
                 {AT_ISA_X86_V2, 3 * 6 * 8},
                 {AT_ISA_NEON, 3 * 3 * 8},
                 {AT_ISA_GENERIC, 3 * 3 * 8}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int count = 0;
        at_variant first = {0}, fallback;
        at_target target = {.isa = cases[i].isa};
        cr_assert_eq(at_variant_each(&kernel, AT_LAYOUT_FLAT, &target, count_visits, &count), ACTUNE_OK, "%s",
                     actune_last_error());
        cr_expect_eq(count, cases[i].variants, "%s: %d", at_isa_name(cases[i].isa), count);
        cr_assert_eq(at_variant_each(&kernel, AT_LAYOUT_FLAT, &target, keep_first, &first), ACTUNE_OK);
        cr_assert_eq(at_variant_default(&kernel, AT_LAYOUT_FLAT, &target, &fallback), ACTUNE_OK);
        cr_expect_eq(memcmp(first.knob, fallback.knob, sizeof(at_knob_setting) * (size_t)first.knobs), 0,
                     "the default comes first");
        cr_expect_str_eq(at_variant_knob(&fallback, "threads", "?"), "1");
    }
    int count = 0;
    cr_expect_eq(at_variant_each(&kernel, AT_LAYOUT_FLAT, &(at_target){.isa = AT_ISA_NEON}, stop_at_three, &count),
                 ACTUNE_INTERRUPTED);
    cr_expect_eq(count, 3);
}

Test(variant, template_of_a_layout)
{
    at_node node;
    at_kernel kernel = plain_kernel(&node);
    at_target cpu = {0}, cuda = {.cuda = true};
    cr_expect_str_eq(at_template_for(&kernel, AT_LAYOUT_CHANNEL_INNER, &cpu), "cpu/elementwise");
    kernel.signature.has_channel = true;
    cr_expect_str_eq(at_template_for(&kernel, AT_LAYOUT_FLAT, &cpu), "cpu/elementwise");
    cr_expect_str_eq(at_template_for(&kernel, AT_LAYOUT_CHANNEL_INNER, &cpu), "cpu/channel_inner");
    cr_expect_str_eq(at_template_for(&kernel, AT_LAYOUT_CHANNEL_OUTER, &cuda), "cuda/channel_outer");
}

Test(variant, machine_levels)
{
    at_isa isa;
    for (int i = AT_ISA_GENERIC; i <= AT_ISA_NEON; i++) {
        cr_assert(at_isa_find(at_isa_name((at_isa)i), &isa));
        cr_expect_eq((int)isa, i);
    }
    cr_expect(!at_isa_find("x86-64-v5", &isa));
    at_isa host = at_isa_host();
    setenv("ACTUNE_ISA", "generic", 1);
    cr_expect_eq(at_isa_host(), AT_ISA_GENERIC);
    setenv("ACTUNE_ISA", host == AT_ISA_NEON ? "x86-64-v4" : "neon", 1);
    cr_expect_eq(at_isa_host(), host, "another machine's");
    setenv("ACTUNE_ISA", "nonsense", 1);
    cr_expect_eq(at_isa_host(), host);
    if (host == AT_ISA_X86_V4) {
        setenv("ACTUNE_ISA", "x86-64-v3", 1);
        cr_expect_eq(at_isa_host(), AT_ISA_X86_V3);
    }
}
