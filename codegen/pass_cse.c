#include "pass.h"

#include "rewrite.h"

actune_status at_pass_cse(at_graph *graph)
{
    return at_rewrite(graph, NULL);
}
