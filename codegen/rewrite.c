#include "rewrite.h"

#include "../runtime/base/hash.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MAX = 32 };

const at_node *at_rewriter_at(const at_rewriter *rewriter, at_node_id id)
{
    static const at_node none = {AT_OP_STRETCH, {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE}, -1, 0};
    return id < 0 ? &none : &rewriter->graph.nodes[id];
}

bool at_is(const at_rewriter *rewriter, at_node_id id, at_op op)
{
    return at_rewriter_at(rewriter, id)->op == op;
}

bool at_is_constant(const at_rewriter *rewriter, at_node_id id, double *value)
{
    if (!at_is(rewriter, id, AT_OP_CONSTANT))
        return false;
    *value = rewriter->graph.nodes[id].value;
    return true;
}

/* Signed zeros differ, all NaN are the same. */
static uint64_t value_bits(double value)
{
    uint64_t bits;
    if (isnan(value))
        value = NAN;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* A total order of structures: two nodes of one rewriter differ somewhere, and the first difference decides. */
static int compare(const at_rewriter *r, at_node_id a, at_node_id b)
{
    while (a != b) {
        const at_node *p = &r->graph.nodes[a], *q = &r->graph.nodes[b];
        if ((p->op == AT_OP_CONSTANT) != (q->op == AT_OP_CONSTANT))
            return p->op == AT_OP_CONSTANT ? 1 : -1;
        if (r->height[a] != r->height[b])
            return r->height[a] > r->height[b] ? 1 : -1;
        if (p->op != q->op)
            return p->op > q->op ? 1 : -1;
        if (p->index != q->index)
            return p->index > q->index ? 1 : -1;
        if (value_bits(p->value) != value_bits(q->value))
            return value_bits(p->value) > value_bits(q->value) ? 1 : -1;
        int k = 0;
        while (k < 2 && p->arg[k] == q->arg[k])
            k++;
        a = p->arg[k];
        b = q->arg[k];
    }
    return 0;
}

/* The op that means the same with its first two arguments exchanged; AT_OP_COUNT when there is none. MIN and MAX have
   none: they give the first argument at a tie. */
static at_op mirrored(at_op op)
{
    static const struct {
        at_op op, mirror;
    } table[] = {
        {AT_OP_ADD, AT_OP_ADD}, {AT_OP_MUL, AT_OP_MUL}, {AT_OP_FMA, AT_OP_FMA}, {AT_OP_EQ, AT_OP_EQ},
        {AT_OP_NE, AT_OP_NE},   {AT_OP_AND, AT_OP_AND}, {AT_OP_OR, AT_OP_OR},   {AT_OP_LT, AT_OP_GT},
        {AT_OP_GT, AT_OP_LT},   {AT_OP_LE, AT_OP_GE},   {AT_OP_GE, AT_OP_LE},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].op == op)
            return table[i].mirror;
    return AT_OP_COUNT;
}

at_node at_rewriter_canonical(const at_rewriter *r, at_node node)
{
    at_op mirror = mirrored(node.op);
    if (mirror == AT_OP_COUNT || compare(r, node.arg[0], node.arg[1]) <= 0)
        return node;
    at_node_id first = node.arg[0];
    node.op = mirror;
    node.arg[0] = node.arg[1];
    node.arg[1] = first;
    return node;
}

static uint64_t hash_of(const at_node *node)
{
    uint64_t key[4] = {(uint64_t)node->op << 32 | (uint32_t)node->index, value_bits(node->value),
                       (uint64_t)(uint32_t)node->arg[0] << 32 | (uint32_t)node->arg[1], (uint32_t)node->arg[2]};
    return at_hash64(key, sizeof key);
}

static bool same(const at_node *a, const at_node *b)
{
    return a->op == b->op && a->index == b->index && a->arg[0] == b->arg[0] && a->arg[1] == b->arg[1] &&
           a->arg[2] == b->arg[2] && value_bits(a->value) == value_bits(b->value);
}

/* The slot that holds an equal node, or the free one for it. */
static at_node_id *find(at_rewriter *r, const at_node *node)
{
    uint64_t mask = (uint64_t)r->slots - 1;
    for (uint64_t i = hash_of(node);; i++) {
        at_node_id *slot = &r->slot[i & mask];
        if (*slot == AT_NO_NODE || same(&r->graph.nodes[*slot], node))
            return slot;
    }
}

/* Room for one node more in the table and the heights. */
static bool reserve(at_rewriter *r)
{
    int32_t count = r->graph.count;
    if (count >= r->height_capacity) {
        int32_t capacity = count < 64 ? 128 : count * 2;
        int32_t *height = realloc(r->height, (size_t)capacity * sizeof *height);
        if (!height)
            return false;
        r->height = height;
        r->height_capacity = capacity;
    }
    if (r->used * 2 < r->slots)
        return true;
    int32_t old_slots = r->slots;
    at_node_id *old = r->slot;
    at_node_id *slot = malloc((size_t)(old_slots ? old_slots * 2 : 128) * sizeof *slot);
    if (!slot)
        return false;
    r->slots = old_slots ? old_slots * 2 : 128;
    r->slot = slot;
    for (int32_t i = 0; i < r->slots; i++)
        slot[i] = AT_NO_NODE;
    for (int32_t i = 0; i < old_slots; i++)
        if (old[i] != AT_NO_NODE)
            *find(r, &r->graph.nodes[old[i]]) = old[i];
    free(old);
    return true;
}

/* Node `id`, just appended, into the table (an equal one that is there already stays) and its height. */
static bool enter(at_rewriter *r, at_node_id id)
{
    if (!reserve(r)) {
        r->graph.failed = true;
        return false;
    }
    const at_node *node = &r->graph.nodes[id];
    int32_t height = 0;
    for (int k = 0; k < at_op_get(node->op)->arguments; k++)
        if (r->height[node->arg[k]] >= height)
            height = r->height[node->arg[k]] + 1;
    r->height[id] = height;
    at_node_id *slot = find(r, node);
    if (*slot == AT_NO_NODE) {
        *slot = id;
        r->used++;
    }
    return true;
}

void at_rewriter_open(at_rewriter *rewriter, at_graph *graph)
{
    *rewriter = (at_rewriter){.graph = *graph};
    *graph = (at_graph){0};
    int32_t count = rewriter->graph.count;
    for (rewriter->graph.count = 0; rewriter->graph.count < count; rewriter->graph.count++)
        if (!enter(rewriter, rewriter->graph.count)) {
            rewriter->graph.count = count;
            return;
        }
}

void at_rewriter_close(at_rewriter *rewriter, at_graph *graph)
{
    *graph = rewriter->graph;
    free(rewriter->height);
    free(rewriter->slot);
    *rewriter = (at_rewriter){0};
}

at_node_id at_rewriter_node(at_rewriter *rewriter, at_node node)
{
    int arguments = at_op_get(node.op)->arguments;
    for (int k = 0; k < 3; k++)
        if (k < arguments && node.arg[k] == AT_NO_NODE)
            return AT_NO_NODE;
    if (rewriter->graph.failed || !reserve(rewriter)) {
        rewriter->graph.failed = true;
        return AT_NO_NODE;
    }
    node = at_rewriter_canonical(rewriter, node);
    if (isnan(node.value))
        node.value = NAN; /* the sign of a NaN is the machine's whim: copysign must not see it */
    at_node_id found = *find(rewriter, &node);
    if (found != AT_NO_NODE)
        return found;
    at_node_id id = at_graph_add(&rewriter->graph, node.op, node.arg[0], node.arg[1], node.arg[2]);
    if (id == AT_NO_NODE)
        return id;
    rewriter->graph.nodes[id].index = node.index;
    rewriter->graph.nodes[id].value = node.value;
    return enter(rewriter, id) ? id : AT_NO_NODE;
}

/* Appends to `to` what output `root` needs, depth first; map: where a node went. `stack` has room for every node. */
static at_node_id order_from(const at_graph *from, at_node_id root, at_node_id *map, at_node_id *stack, at_graph *to)
{
    int32_t depth = 0;
    stack[depth++] = root;
    while (depth > 0) {
        at_node_id id = stack[depth - 1];
        at_node node = from->nodes[id];
        int k = 0, arguments = at_op_get(node.op)->arguments;
        while (k < arguments && map[node.arg[k]] != AT_NO_NODE)
            k++;
        if (k < arguments) {
            stack[depth++] = node.arg[k];
            continue;
        }
        for (k = 0; k < arguments; k++)
            node.arg[k] = map[node.arg[k]];
        if (map[id] == AT_NO_NODE) {
            map[id] = at_graph_add(to, node.op, node.arg[0], node.arg[1], node.arg[2]);
            if (map[id] == AT_NO_NODE)
                return AT_NO_NODE;
            to->nodes[map[id]].index = node.index;
            to->nodes[map[id]].value = node.value;
        }
        depth--;
    }
    return map[root];
}

static actune_status order(const at_graph *from, at_graph *to)
{
    AT_TRY(at_graph_status(from));
    size_t bytes = ((size_t)from->count + 1) * sizeof(at_node_id);
    at_node_id *map = malloc(bytes), *stack = malloc(bytes);
    if (!map || !stack)
        to->failed = true;
    else
        memset(map, 0xff, bytes); /* AT_NO_NODE */
    for (int32_t k = 0; k < from->outputs && !to->failed; k++)
        to->output[to->outputs++] = order_from(from, from->output[k], map, stack, to);
    free(map);
    free(stack);
    return at_graph_status(to);
}

static actune_status rebuild(const at_graph *from, at_rule *rule, at_rewriter *r)
{
    at_node_id *map = malloc(((size_t)from->count + 1) * sizeof *map);
    if (!map)
        r->graph.failed = true;
    for (int32_t i = 0; i < from->count && !r->graph.failed; i++) {
        at_node node = from->nodes[i];
        int arguments = at_op_get(node.op)->arguments;
        for (int k = 0; k < arguments; k++)
            node.arg[k] = map[node.arg[k]];
        map[i] = rule && arguments ? rule(r, node) : at_rewriter_node(r, node);
    }
    r->graph.outputs = from->outputs;
    for (int32_t k = 0; k < from->outputs && !r->graph.failed; k++)
        r->graph.output[k] = map[from->output[k]];
    free(map);
    return at_graph_status(&r->graph);
}

actune_status at_rewrite(at_graph *graph, at_rule *rule)
{
    AT_TRY(at_graph_status(graph));
    at_graph empty = {0}, rebuilt, ordered = {0};
    at_rewriter r;
    at_rewriter_open(&r, &empty);
    actune_status status = rebuild(graph, rule, &r);
    at_rewriter_close(&r, &rebuilt);
    if (status == ACTUNE_OK)
        status = order(&rebuilt, &ordered);
    at_graph_clear(&rebuilt);
    if (status != ACTUNE_OK) {
        at_graph_clear(&ordered);
        return status;
    }
    at_graph_clear(graph);
    *graph = ordered;
    return ACTUNE_OK;
}

static bool equal(const at_graph *a, const at_graph *b)
{
    bool result = a->count == b->count && a->outputs == b->outputs;
    for (int32_t i = 0; result && i < a->count; i++)
        result = same(&a->nodes[i], &b->nodes[i]);
    for (int32_t k = 0; result && k < a->outputs; k++)
        result = a->output[k] == b->output[k];
    return result;
}

actune_status at_rewrite_until_stable(at_graph *graph, at_rule *rule)
{
    AT_TRY(at_rewrite(graph, NULL));
    for (int round = 0; round < ROUNDS_MAX; round++) {
        at_graph before;
        AT_TRY(at_graph_copy(graph, &before));
        actune_status status = at_rewrite(graph, rule);
        bool stable = status == ACTUNE_OK && equal(&before, graph);
        at_graph_clear(&before);
        if (status != ACTUNE_OK || stable)
            return status;
    }
    return ACTUNE_OK;
}
