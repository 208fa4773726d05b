/* Sizes and offsets of what Python declares again, one a line: "PlanDesc.sources 80". */
#include <actune/dlpack.h>
#include <stdio.h>

#define SIZE(name, type) printf("%s %zu\n", name, sizeof(type))
#define FIELD(name, type, field) printf("%s.%s %zu\n", name, #field, offsetof(type, field))

int main(void)
{
    SIZE("Shape", actune_shape);
    SIZE("ContextOptions", actune_context_options);
    FIELD("ContextOptions", actune_context_options, max_threads);
    FIELD("ContextOptions", actune_context_options, no_compile);
    FIELD("ContextOptions", actune_context_options, tune_seconds);
    FIELD("ContextOptions", actune_context_options, log_user);
    SIZE("PlanDesc", actune_plan_desc);
    FIELD("PlanDesc", actune_plan_desc, shape);
    FIELD("PlanDesc", actune_plan_desc, gradients);
    FIELD("PlanDesc", actune_plan_desc, max_threads);
    FIELD("PlanDesc", actune_plan_desc, sources);
    FIELD("PlanDesc", actune_plan_desc, source_count);
    FIELD("PlanDesc", actune_plan_desc, overlap);
    SIZE("PortInfo", actune_port_info);
    FIELD("PortInfo", actune_port_info, count);
    FIELD("PortInfo", actune_port_info, is_random);
    SIZE("PlanInfo", actune_plan_info);
    FIELD("PlanInfo", actune_plan_info, workspace_bytes);
    SIZE("Buffer", actune_buffer);
    SIZE("Tensor", actune_tensor);
    FIELD("Tensor", actune_tensor, extent);
    FIELD("Tensor", actune_tensor, order);
    SIZE("ExportDesc", actune_tensor_export_desc);
    FIELD("ExportDesc", actune_tensor_export_desc, release);
    return 0;
}
