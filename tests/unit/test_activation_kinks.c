#include "codegen/activation.h"
#include "codegen/pass.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#define COUNT(table) (sizeof table / sizeof *table)

enum { INPUTS_MAX = AT_PARAMETERS_MAX + 2 };

static long double slope(const char *name, double x) {
  const at_activation *a = at_activation_find(name);
  cr_assert_not_null(a, "%s", name);
  long double inputs[1] = {x};
  at_graph graph = {0};
  at_node_id gradient, nodes[INPUTS_MAX] = {at_graph_input(&graph, 0)};
  int32_t wanted = 0;
  for (int i = 0; i < a->parameters; i++)
    nodes[1 + i] =
        at_graph_constant(&graph, a->parameter[i].default_value);
  cr_assert_eq(at_graph_inline(&graph, &a->graph, nodes, 1 + a->parameters,
                               graph.output),
               ACTUNE_OK);
  graph.outputs = 1;
  /* As kernels do: bounds such as -beta / alpha are constants of the type. */
  cr_assert_eq(at_pass_fold(&graph), ACTUNE_OK);
  at_node_id seed = at_graph_constant(&graph, 1);
  cr_assert_eq(at_pass_differentiate(&graph, graph.output[0], seed, &wanted, 1,
                                     &gradient),
               ACTUNE_OK, "%s", actune_last_error());
  long double *values = calloc((size_t)graph.count, sizeof *values);
  at_graph_eval(&graph, inputs, values);
  long double result = values[gradient];
  free(values);
  at_graph_clear(&graph);
  return result;
}

/* PyTorch's choice where the slope jumps. */
Test(activation_kinks, pytorch) {
  static const struct {
    const char *name;
    double at, expected;
  } rows[] = {
      {"relu", 0, 0},
      {"relu", -0.0, 0},
      {"leaky_relu", 0, 0.01},
      {"prelu", 0, 0.25},
      {"elu", 0, 1},
      {"relu6", 0, 0},
      {"relu6", 6, 0},
      {"relu6", 3, 1},
      {"hardtanh", -1, 0},
      {"hardtanh", 1, 0},
      {"hardtanh", 0.5, 1},
      {"bounded_relu", 0, 0},
      {"bounded_relu", 6, 0},
      {"bounded_relu", 3, 1},
      {"hardsigmoid", -3, 0},
      {"hardsigmoid", 3, 0},
      {"hardswish", -3, -0.5},
      {"hardswish", 3, 1.5},
      {"hardswish", 3.0001, 1},
      {"hardswish", -3.001, 0},
      {"softplus", 20.001, 1},
      {"identity", 0, 1},
      {"hardshrink", 0.5, 0},
      {"hardshrink", -0.5, 0},
      {"softshrink", 0.5, 0},
      {"softshrink", -0.5, 0},
      {"softshrink", -0.75, 1},
      {"threshold", 0, 0},
      {"thresholded_relu", 1, 0},
      {"relu_squared", 0, 0},
      {"relu_squared", 3, 6},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    cr_expect(fabsl(slope(rows[i].name, rows[i].at) - rows[i].expected) <
                  1e-15L,
              "%s'(%g) = %Lg, not %g", rows[i].name, rows[i].at,
              slope(rows[i].name, rows[i].at), rows[i].expected);
  cr_expect(fabsl(slope("hardsigmoid", nextafterf(3, 0)) - 1.0L / 6) < 1e-15L);
}
