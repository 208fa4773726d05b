#include "signature_text.h"

#include "../runtime/base/dtype.h"

/* How an element type is written: in C, and in the dispatcher. */
static const struct {
    const char *c, *constant;
} types[] = {[ACTUNE_F32] = {"float", "ACTUNE_F32"},
             [ACTUNE_F64] = {"double", "ACTUNE_F64"},
             [ACTUNE_F16] = {"uint16_t", "ACTUNE_F16"},
             [ACTUNE_BF16] = {"uint16_t", "ACTUNE_BF16"}};

/* What a port's extent is called in comments, and its access in the dispatcher. */
static const struct {
    const char *shape, *flat_shape, *constant;
} accesses[] = {[AT_ACCESS_ELEMENT] = {"[outer, channels, inner]", "[n]", "AT_ACCESS_ELEMENT"},
                [AT_ACCESS_CHANNEL] = {"[channels]", "[1]", "AT_ACCESS_CHANNEL"},
                [AT_ACCESS_SCALAR] = {"one value", "one value", "AT_ACCESS_SCALAR"},
                [AT_ACCESS_RANDOM] = {"seed and offset: the same two give the same numbers, forward and backward; change the offset for each step",
                                      "seed and offset: the same two give the same numbers, forward and backward; change the offset for each step",
                                      "AT_ACCESS_RANDOM"}};

static const struct {
    const char *words, *constant;
} reductions[] = {[AT_REDUCTION_NONE] = {"", "AT_REDUCTION_NONE"}, [AT_REDUCTION_SUM] = {", sums", "AT_REDUCTION_SUM"},
                  [AT_REDUCTION_MAX] = {", maxima", "AT_REDUCTION_MAX"}};

static const char *shape_of(const at_signature *signature, int port)
{
    at_access access = signature->port[port].access;
    return signature->has_channel ? accesses[access].shape : accesses[access].flat_shape;
}

/* "x, dy, dx: [n] of f32", neighbours of one shape and type together. */
static void append_ports(const at_export_function *function, at_strbuf *out)
{
    const at_signature *signature = &function->kernel.signature;
    for (int i = 0; i < signature->ports; i++) {
        const at_port *port = &signature->port[i], *next = i + 1 < signature->ports ? port + 1 : NULL;
        at_strbuf_append(out, function->parameter[i]);
        if (next != NULL && next->access == port->access && next->dtype == port->dtype && next->reduction == port->reduction) {
            at_strbuf_append(out, ", ");
            continue;
        }
        at_strbuf_printf(out, ": %s", shape_of(signature, i));
        if (port->access != AT_ACCESS_RANDOM)
            at_strbuf_printf(out, " of %s%s", at_dtype_get(port->dtype)->name, reductions[port->reduction].words);
        at_strbuf_append(out, next != NULL ? "; " : ".");
    }
}

void at_export_text_comment(const at_export_function *function, at_strbuf *out)
{
    const at_signature *signature = &function->kernel.signature;
    bool backward = signature->direction == ACTUNE_BACKWARD;
    at_strbuf_printf(out, "/* %s%s\n   ", function->kernel.spec, backward ? ", the gradient" : "");
    append_ports(function, out);
    if (signature->dtype_in == signature->dtype_out)
        at_strbuf_append(out, backward ? " dx may be dy." : " y may be x.");
    at_strbuf_append(out, " */\n");
}

static void append_parameters(const at_export_function *function, at_strbuf *out)
{
    const at_signature *signature = &function->kernel.signature;
    for (int i = 0; i < signature->ports; i++) {
        const at_port *port = &signature->port[i];
        const char *type = port->access == AT_ACCESS_RANDOM ? "uint64_t" : types[port->dtype].c;
        at_strbuf_printf(out, "%s%s *%s, ", port->is_output ? "" : "const ", type, function->parameter[i]);
    }
    at_strbuf_append(out, signature->has_channel ? "int64_t outer, int64_t channels, int64_t inner" : "int64_t n");
}

void at_export_text_prototype(const at_export_job *job, const at_export_function *function, at_strbuf *out)
{
    at_strbuf_printf(out, "%s_status %s(", job->request->name, function->symbol);
    append_parameters(function, out);
    at_strbuf_char(out, ')');
}

static void append_call_shape(const at_signature *signature, at_strbuf *out)
{
    at_strbuf_append(out, signature->has_channel ? "(actune_shape){.outer = outer, .channels = channels, .inner = inner}"
                                                 : "(actune_shape){.outer = 1, .channels = 1, .inner = n}");
}

void at_export_text_cuda_prototype(const at_export_job *job, const at_export_function *function, at_strbuf *out)
{
    at_strbuf_printf(out, "%s_status %s(int device, ", job->request->name, function->cuda_symbol);
    append_parameters(function, out);
    at_strbuf_printf(out, ", %svoid *stream)", function->kernel.signature.slots > 0 ? "void *workspace, " : "");
}

void at_export_text_workspace_prototype(const at_export_function *function, at_strbuf *out)
{
    at_strbuf_printf(out, "size_t %s_workspace(%s)", function->cuda_symbol,
                     function->kernel.signature.has_channel ? "int64_t outer, int64_t channels, int64_t inner" : "int64_t n");
}

static void append_ports_array(const at_export_function *function, at_strbuf *out)
{
    const at_signature *signature = &function->kernel.signature;
    at_strbuf_append(out, "\n{\n    void *const port[] = {");
    for (int i = 0; i < signature->ports; i++)
        at_strbuf_printf(out, "%s%s%s", i > 0 ? ", " : "", signature->port[i].is_output ? "" : "(void *)(uintptr_t)", function->parameter[i]);
    at_strbuf_append(out, "};\n");
}

void at_export_text_cuda_definition(const at_export_job *job, int number, at_strbuf *out)
{
    const at_export_function *function = job->function[number];
    const at_signature *signature = &function->kernel.signature;
    at_export_text_cuda_prototype(job, function, out);
    append_ports_array(function, out);
    at_strbuf_printf(out, "    return (%s_status)at_exported_cuda_run(&cuda, &function[%d], device, port, ", job->request->name, number);
    append_call_shape(signature, out);
    at_strbuf_printf(out, ", %s, stream);\n}\n\n", signature->slots > 0 ? "workspace" : "NULL");
    if (signature->slots == 0)
        return;
    at_export_text_workspace_prototype(function, out);
    at_strbuf_printf(out, "\n{\n    return at_exported_cuda_workspace(&function[%d], ", number);
    append_call_shape(signature, out);
    at_strbuf_append(out, ");\n}\n\n");
}

void at_export_text_definition(const at_export_job *job, int number, at_strbuf *out)
{
    const at_export_function *function = job->function[number];
    const at_signature *signature = &function->kernel.signature;
    at_export_text_prototype(job, function, out);
    append_ports_array(function, out);
    at_strbuf_printf(out, "    return (%s_status)at_exported_run(&library, &function[%d], port, ", job->request->name, number);
    append_call_shape(signature, out);
    at_strbuf_append(out, ");\n}\n\n");
}

/* The signature's fields by name. A field that is new there must be written here, or its kernels refused in collect.c. */
void at_export_text_function(const at_export_function *function, at_strbuf *out)
{
    const at_signature *signature = &function->kernel.signature;
    at_strbuf_printf(out, "    {.name = \"%s\",\n     .kernel = {\"%s\"},\n     .signature = {.port = {", function->symbol, function->kernel.hash.hex);
    for (int i = 0; i < signature->ports; i++) {
        const at_port *port = &signature->port[i];
        at_strbuf_printf(out, "%s{.name = \"%s\", .access = %s, .dtype = %s", i > 0 ? ",\n                             " : "", port->name,
                         accesses[port->access].constant, types[port->dtype].constant);
        at_strbuf_append(out, port->is_output ? ", .is_output = true" : "");
        if (port->reduction != AT_REDUCTION_NONE)
            at_strbuf_printf(out, ", .reduction = %s", reductions[port->reduction].constant);
        at_strbuf_char(out, '}');
    }
    at_strbuf_printf(out, "},\n                   .ports = %d, .inputs = %d, .direction = %s,\n", signature->ports, signature->inputs,
                     signature->direction == ACTUNE_BACKWARD ? "ACTUNE_BACKWARD" : "ACTUNE_FORWARD");
    at_strbuf_printf(out, "                   .dtype_in = %s, .dtype_out = %s, .compute = %s, .has_channel = %s, .slots = %d},\n     .bytes = {",
                     types[signature->dtype_in].constant, types[signature->dtype_out].constant, types[signature->compute].constant,
                     signature->has_channel ? "true" : "false", signature->slots);
    for (int i = 0; i < signature->ports; i++)
        at_strbuf_printf(out, "%s%d", i > 0 ? ", " : "", at_dtype_get(signature->port[i].dtype)->bytes);
    at_strbuf_append(out, "}},\n");
}
