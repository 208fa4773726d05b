#include "differentiate.h"

#include <math.h>
#include <stdlib.h>

enum { REDUCED_MAX = 4 };

void at_terms_clear(at_terms *terms)
{
    free(terms->term);
    *terms = (at_terms){0};
}

void at_terms_add(at_derivation *d, at_terms *terms, at_term term)
{
    if (term.scale == 0)
        return;
    if (terms->count == terms->capacity) {
        int32_t capacity = terms->capacity ? terms->capacity * 2 : 4;
        at_term *grown = realloc(terms->term, (size_t)capacity * sizeof *grown);
        if (!grown) {
            d->rewriter.graph.failed = true;
            return;
        }
        terms->term = grown;
        terms->capacity = capacity;
    }
    terms->term[terms->count++] = term;
}

at_term at_term_of(at_derivation *d, at_node_id node)
{
    at_term term = {.scale = 1, .other = AT_NO_NODE, .factor = AT_NO_NODE};
    at_term_multiply(d, &term, 1, node);
    return term;
}

static at_node_id product(at_derivation *d, at_node_id a, at_node_id b)
{
    return a == AT_NO_NODE ? b : b == AT_NO_NODE ? a : at_derive_2(d, AT_OP_MUL, a, b);
}

void at_term_multiply(at_derivation *d, at_term *term, double scale, at_node_id factor)
{
    double constant;
    if (at_is_constant(&d->rewriter, factor, &constant) && isfinite(constant)) {
        scale *= constant;
        factor = AT_NO_NODE;
    }
    term->scale *= scale;
    if (factor == AT_NO_NODE)
        return;
    at_range range = at_derive_range(d, factor);
    bool finite = at_range_is_finite(range);
    if (range.vanishes && finite) {
        term->factor = product(d, term->factor, factor);
        return;
    }
    if (range.vanishes && term->zeros == AT_TERM_ZEROS_MAX) {
        /* Rare: settle what is there, and go on with its value. */
        at_term settled = {.scale = 1, .other = at_term_value(d, term), .factor = AT_NO_NODE, .wild = term->wild};
        settled.zero[0].node = settled.other;
        settled.zeros = 1;
        settled.masks = term->masks;
        for (int k = 0; k < term->masks; k++)
            settled.mask[k] = term->mask[k];
        *term = settled;
    }
    uint64_t wild = finite ? 0 : range.support;
    for (int k = 0; k < term->zeros; k++)
        term->zero[k].wild |= wild;
    if (range.vanishes) {
        term->zero[term->zeros].node = factor;
        term->zero[term->zeros++].wild = term->wild;
    }
    term->other = product(d, term->other, factor);
    term->wild |= wild;
}

void at_term_mask(at_derivation *d, at_term *term, at_node_id condition, bool when)
{
    while (at_is(&d->rewriter, condition, AT_OP_NOT)) {
        condition = at_rewriter_at(&d->rewriter, condition)->arg[0];
        when = !when;
    }
    for (int k = 0; k < term->masks; k++)
        if (term->mask[k].condition == condition) {
            if (term->mask[k].when != when)
                term->scale = 0;
            return;
        }
    if (term->masks == AT_TERM_MASKS_MAX) {
        at_node_id value = at_term_value(d, term);
        for (int k = term->masks; k-- > 0;) {
            at_node_id zero = at_derive_constant(d, 0);
            at_mask mask = term->mask[k];
            value = at_derive_3(d, AT_OP_SELECT, mask.condition, mask.when ? value : zero, mask.when ? zero : value);
        }
        *term = at_term_of(d, value);
    }
    term->mask[term->masks++] = (at_mask){condition, when};
}

void at_term_times(at_derivation *d, at_term *term, const at_term *other)
{
    at_term by = *other;
    if (term->zeros + by.zeros > AT_TERM_ZEROS_MAX) {
        at_node_id value = at_term_value(d, &by);
        by = (at_term){.scale = 1, .other = AT_NO_NODE, .factor = AT_NO_NODE, .masks = other->masks};
        at_term_multiply(d, term, 1, value);
    }
    term->scale *= by.scale;
    term->factor = product(d, term->factor, by.factor);
    term->other = product(d, term->other, by.other);
    for (int k = 0; k < term->zeros; k++)
        term->zero[k].wild |= by.wild;
    for (int k = 0; k < by.zeros; k++) {
        term->zero[term->zeros] = by.zero[k];
        term->zero[term->zeros++].wild |= term->wild;
    }
    term->wild |= by.wild;
    for (int k = 0; k < other->masks; k++)
        at_term_mask(d, term, other->mask[k].condition, other->mask[k].when);
}

static at_node_id zero_where(at_derivation *d, at_node_id node, at_node_id value)
{
    at_node_id zero = at_derive_constant(d, 0);
    return at_derive_3(d, AT_OP_SELECT, at_derive_2(d, AT_OP_EQ, node, zero), zero, value);
}

/* The value but for the sign of scale. */
static at_node_id magnitude(at_derivation *d, const at_term *term)
{
    at_node_id constant = fabs(term->scale) == 1 ? AT_NO_NODE : at_derive_constant(d, fabs(term->scale));
    at_node_id value = product(d, term->other, constant);
    value = product(d, value, term->factor);
    if (value == AT_NO_NODE)
        return at_derive_constant(d, 1);
    for (int k = 0; k < term->zeros; k++)
        if (term->zero[k].wild & at_derive_range(d, term->zero[k].node).support)
            value = zero_where(d, term->zero[k].node, value);
    if (term->factor != AT_NO_NODE && (term->wild & at_derive_range(d, term->factor).support))
        value = zero_where(d, term->factor, value);
    return value;
}

at_node_id at_term_value(at_derivation *d, const at_term *term)
{
    at_node_id value = magnitude(d, term);
    return term->scale < 0 ? at_derive_1(d, AT_OP_NEG, value) : value;
}

static bool same_guards(const at_term *a, const at_term *b)
{
    return a->factor == b->factor && a->zeros == 0 && b->zeros == 0;
}

/* a += b, or false when the two have nothing in common. `equal`: the same product, only the scales are added; otherwise
   the same factor, of which the rest is added: (a + b) * factor. */
static bool merge(at_derivation *d, at_term *a, const at_term *b, bool equal)
{
    if (!same_guards(a, b) || (a->other == b->other) != equal)
        return false;
    if (equal) {
        a->scale += b->scale;
        return true;
    }
    if (a->factor == AT_NO_NODE || a->other == AT_NO_NODE || b->other == AT_NO_NODE)
        return false;
    at_term first = *a, second = *b;
    first.factor = second.factor = AT_NO_NODE;
    bool minus = second.scale < 0;
    at_node_id left = at_term_value(d, &first);
    a->other = at_derive_2(d, minus ? AT_OP_SUB : AT_OP_ADD, left, magnitude(d, &second));
    a->scale = 1;
    a->wild |= b->wild;
    return true;
}

static void gather(at_derivation *d, at_terms *terms, bool equal)
{
    for (int32_t i = 0; i < terms->count; i++)
        for (int32_t k = i + 1; k < terms->count;)
            if (merge(d, &terms->term[i], &terms->term[k], equal))
                terms->term[k] = terms->term[--terms->count];
            else
                k++;
    for (int32_t i = 0; i < terms->count;)
        if (terms->term[i].scale == 0)
            terms->term[i] = terms->term[--terms->count];
        else
            i++;
}

static at_node_id sum_unmasked(at_derivation *d, at_terms *terms)
{
    gather(d, terms, true);
    gather(d, terms, false);
    at_node_id total = AT_NO_NODE;
    for (int pass = 0; pass < 2; pass++) /* what is added, then what is taken away */
        for (int32_t i = 0; i < terms->count; i++) {
            const at_term *term = &terms->term[i];
            if ((term->scale < 0) != pass)
                continue;
            if (total == AT_NO_NODE)
                total = at_term_value(d, term);
            else
                total = at_derive_2(d, pass ? AT_OP_SUB : AT_OP_ADD, total, magnitude(d, term));
        }
    return total;
}

static void drop_first_masks(at_term *term, int count)
{
    for (int k = count; k < term->masks; k++)
        term->mask[k - count] = term->mask[k];
    term->masks -= count;
}

/* The terms whose first mask is `mask`, without it. */
static at_terms arm(at_derivation *d, const at_terms *terms, at_mask mask)
{
    at_terms chosen = {0};
    for (int32_t i = 0; i < terms->count; i++) {
        at_term term = terms->term[i];
        if (term.masks == 0 || term.mask[0].condition != mask.condition || term.mask[0].when != mask.when)
            continue;
        drop_first_masks(&term, 1);
        at_terms_add(d, &chosen, term);
    }
    return chosen;
}

static at_node_id total(at_derivation *d, const at_terms *terms);

static at_node_id arm_total(at_derivation *d, const at_terms *terms, at_mask mask)
{
    at_terms chosen = arm(d, terms, mask);
    at_node_id value = total(d, &chosen);
    at_terms_clear(&chosen);
    return value;
}

static bool is_first_of_its_condition(const at_terms *terms, int32_t i)
{
    for (int32_t k = 0; k < i; k++)
        if (terms->term[k].masks && terms->term[k].mask[0].condition == terms->term[i].mask[0].condition)
            return false;
    return true;
}

/* The sum, a select for every condition that masks tell apart. */
static at_node_id total(at_derivation *d, const at_terms *terms)
{
    at_terms plain = {0};
    for (int32_t i = 0; i < terms->count; i++)
        if (terms->term[i].masks == 0)
            at_terms_add(d, &plain, terms->term[i]);
    for (int32_t i = 0; i < terms->count && !d->rewriter.graph.failed; i++) {
        if (terms->term[i].masks == 0 || !is_first_of_its_condition(terms, i))
            continue;
        at_node_id condition = terms->term[i].mask[0].condition;
        at_node_id yes = arm_total(d, terms, (at_mask){condition, true});
        at_node_id no = arm_total(d, terms, (at_mask){condition, false});
        at_node_id chosen = at_derive_3(d, AT_OP_SELECT, condition, yes, no);
        at_terms_add(d, &plain, (at_term){.scale = 1, .other = chosen, .factor = AT_NO_NODE});
    }
    at_node_id value = sum_unmasked(d, &plain);
    at_terms_clear(&plain);
    return value == AT_NO_NODE ? at_derive_constant(d, 0) : value;
}

static int common_masks(const at_terms *terms)
{
    int common = terms->count ? terms->term[0].masks : 0;
    for (int32_t i = 1; i < terms->count; i++) {
        int k = 0;
        while (k < common && k < terms->term[i].masks &&
               terms->term[i].mask[k].condition == terms->term[0].mask[k].condition &&
               terms->term[i].mask[k].when == terms->term[0].mask[k].when)
            k++;
        common = k;
    }
    return common;
}

/* Copies of the terms without their first `masks` masks. */
static at_terms without_masks(at_derivation *d, const at_terms *terms, int masks)
{
    at_terms rest = {0};
    for (int32_t i = 0; i < terms->count; i++) {
        at_term term = terms->term[i];
        drop_first_masks(&term, masks);
        at_terms_add(d, &rest, term);
    }
    return rest;
}

at_term at_terms_join(at_derivation *d, const at_terms *terms)
{
    if (terms->count == 1)
        return terms->term[0];
    int common = common_masks(terms);
    at_terms rest = without_masks(d, terms, common);
    at_term joined = at_term_of(d, total(d, &rest));
    for (int k = 0; k < common; k++)
        joined.mask[joined.masks++] = terms->term[0].mask[k];
    at_terms_clear(&rest);
    return joined;
}

static void reduce_under(at_derivation *d, const at_terms *terms, const at_mask *masks, int mask_count,
                         at_terms *reduced)
{
    if (terms->count == 0)
        return;
    int common = common_masks(terms), all = mask_count + common;
    at_mask prefix[2 * AT_TERM_MASKS_MAX];
    for (int k = 0; k < all; k++)
        prefix[k] = k < mask_count ? masks[k] : terms->term[0].mask[k - mask_count];
    at_terms rest = without_masks(d, terms, common);
    bool splits = all < AT_TERM_MASKS_MAX && reduced->count < REDUCED_MAX;
    for (int32_t i = 0; i < rest.count; i++)
        splits = splits && rest.term[i].masks > 0 && rest.term[i].mask[0].condition == rest.term[0].mask[0].condition;
    if (splits && rest.count > 1) {
        for (int when = 1; when >= 0; when--) {
            prefix[all] = (at_mask){rest.term[0].mask[0].condition, when};
            at_terms chosen = arm(d, &rest, prefix[all]);
            reduce_under(d, &chosen, prefix, all + 1, reduced);
            at_terms_clear(&chosen);
        }
    } else {
        at_term joined = at_terms_join(d, &rest);
        at_term result = joined;
        result.masks = 0;
        for (int k = 0; k < all; k++)
            at_term_mask(d, &result, prefix[k].condition, prefix[k].when);
        for (int k = 0; k < joined.masks; k++)
            at_term_mask(d, &result, joined.mask[k].condition, joined.mask[k].when);
        at_terms_add(d, reduced, result);
    }
    at_terms_clear(&rest);
}

void at_terms_reduce(at_derivation *d, const at_terms *terms, at_terms *reduced)
{
    reduce_under(d, terms, NULL, 0, reduced);
}
