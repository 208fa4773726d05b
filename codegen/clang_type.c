#include "clang_lower.h"

static bool is_real(int kind)
{
    return kind == AT_CX_FLOAT || kind == AT_CX_DOUBLE;
}

static const char *real_name(const at_lowering *l)
{
    return l->real == AT_CX_DOUBLE ? "double" : "float";
}

actune_status at_lower_type(const at_lowering *l, at_cx_cursor where, at_cx_type type, int *kind)
{
    char name[64];
    const at_clang_api *api = l->api;
    at_cx_type canonical = api->getCanonicalType(type);
    *kind = canonical.kind;
    if (api->isVolatileQualifiedType(canonical))
        return at_ast_refuse(l, where, "volatile is not supported: a definition is a pure function");
    if (*kind == l->real || *kind == AT_CX_INT || *kind == AT_CX_BOOL)
        return ACTUNE_OK;
    if (is_real(*kind))
        return at_ast_refuse(l, where, "%s in a function of %s: a definition has one real type, use %s throughout",
                             *kind == AT_CX_DOUBLE ? "double" : "float", real_name(l), real_name(l));
    if (*kind == AT_CX_POINTER)
        return at_ast_refuse(l, where, "pointers are not supported: take and return plain %s values", real_name(l));
    if (*kind == AT_CX_CONSTANT_ARRAY || *kind == AT_CX_INCOMPLETE_ARRAY || *kind == AT_CX_VARIABLE_ARRAY)
        return at_ast_refuse(l, where, "arrays are not supported: use scalar variables");
    return at_ast_refuse(l, where, "type '%s' is not supported: use %s, int or bool",
                         at_ast_string(api, api->getTypeSpelling(type), name, sizeof name), real_name(l));
}

actune_status at_lower_real(at_lowering *l, at_cx_cursor where, at_value value, at_node_id *node)
{
    if (value.kind == AT_VALUE_INTEGER && (value.low < -AT_LOWER_EXACT_MAX || value.high > AT_LOWER_EXACT_MAX))
        return at_ast_refuse(l, where, "this integer may not be exact as a real number: write it with a decimal point");
    *node = at_value_as_real(l, value);
    return ACTUNE_OK;
}

actune_status at_lower_convert(at_lowering *l, at_cx_cursor where, int type, at_value *value)
{
    if (is_real(type)) {
        at_node_id node = AT_NO_NODE;
        AT_TRY(at_lower_real(l, where, *value, &node));
        *value = at_value_real(node);
    } else if (type == AT_CX_BOOL) {
        *value = at_value_as_truth(l, *value);
    } else if (type != AT_CX_INT) {
        char name[64];
        at_cx_string spelling = l->api->getTypeSpelling(l->api->getCursorType(where));
        return at_ast_refuse(l, where, "a value of type '%s' is not supported: use %s, int or bool",
                             at_ast_string(l->api, spelling, name, sizeof name), real_name(l));
    } else if (value->kind == AT_VALUE_REAL) {
        return at_ast_refuse(l, where,
                             "a real number turned into an integer loses its fraction: use floorf or truncf, "
                             "which stay %s",
                             real_name(l));
    }
    return ACTUNE_OK;
}
