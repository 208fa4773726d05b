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
  long double inputs[INPUTS_MAX] = {x};
  for (int i = 0; i < a->parameters; i++)
    inputs[1 + i] = a->parameter[i].default_value;
  at_graph graph;
  at_node_id gradient;
  int32_t wanted = 0;
  cr_assert_eq(at_graph_copy(&a->graph, &graph), ACTUNE_OK);
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
      {"hardsigmoid", -3, 0},
      {"hardsigmoid", 3, 0},
      {"hardswish", -3, -0.5},
      {"hardswish", 3, 1.5},
      {"hardswish", 3.0001, 1},
      {"hardswish", -3.001, 0},
      {"softplus", 20.001, 1},
      {"identity", 0, 1},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    cr_expect(fabsl(slope(rows[i].name, rows[i].at) - rows[i].expected) <
                  1e-15L,
              "%s'(%g) = %Lg, not %g", rows[i].name, rows[i].at,
              slope(rows[i].name, rows[i].at), rows[i].expected);
  cr_expect(fabsl(slope("hardsigmoid", nextafterf(3, 0)) - 1.0L / 6) < 1e-15L);
}
